"""The environment that a nucleus gives to the scripts of components."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edgeloop_tools.core import builtin
from edgeloop_tools.core.lifecycle.plan import Plan
from edgeloop_tools.core.tokens import Tokens
from edgeloop_tools.core.user import ComponentUser

_PASSED = ("LANG", "LANGUAGE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PASSED_PREFIXES = ("LC_", "PIP_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ROOT_CA = "/etc/ssl/certs/ca-certificates.crt"
CLOCK = "EDGELOOP_CORE_CLOCK"
"""In the core's own environment: a file that moves the components' clocks, "-1d" for a day back (libfaketime)."""
_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


@dataclass(slots=True)
class Environment:
    """python: what `python3` is for components. endpoint: variables for Stream Manager. Nothing of the caller's
    environment is passed on but locale, proxies, certificates and pip's settings."""

    root: Path
    nucleus: str
    user: ComponentUser
    python: Path
    tokens: Tokens
    socket: Path
    thing_name: str
    region: str
    credentials_uri: str = ""
    stream_manager_port: Callable[[], int] = lambda: 0
    endpoint: Mapping[str, str] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the folder that shows the chosen Python as `python3`."""
        folder = self.root / "bin"
        folder.mkdir(exist_ok=True)
        link = folder / "python3"
        if not (link.is_symlink() and os.readlink(link) == str(self.python)):
            link.unlink(missing_ok=True)
            link.symlink_to(self.python)

    def of(self, plan: Plan) -> dict[str, str]:
        token = self.tokens.of(plan.name)
        home = self.user.home if os.path.isdir(self.user.home) else str(plan.work)
        found = {
            "PATH": os.pathsep.join((str(self.root / "bin"), *_PATH)),
            "HOME": home,
            "USER": self.user.name,
            "LOGNAME": self.user.name,
            "SVCUID": token,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_IOT_THING_NAME": self.thing_name,
            "GGC_VERSION": str(builtin.RECIPES[builtin.ALWAYS[self.nucleus][0]].version),
            "GG_ROOT_CA_PATH": _ROOT_CA,
        }
        for name, value in os.environ.items():
            if name in _PASSED or name.startswith(_PASSED_PREFIXES) or name.lower() in _PROXIES:
                found.setdefault(name, value)
        if self.credentials_uri and (self.nucleus == "classic" or builtin.TOKEN_EXCHANGE in plan.hard | plan.soft):
            found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self.credentials_uri
            found["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
        found[builtin.PORT_KEY] = str(self.stream_manager_port())
        if not plan.core:
            found |= _moved()
        if plan.core:
            found["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, sys.path)))
            found |= self.endpoint
            if self.user.owner:
                found["EDGELOOP_COMPONENT_OWNER"] = "{}:{}".format(*self.user.owner)
        return found


def clock_mover() -> str:
    """libfaketime (Debian's package `faketime`); empty where it is not installed."""
    return next(iter(sorted(glob.glob(_FAKETIME))), "")


def _moved() -> dict[str, str]:
    """For a clock that is not this machine's; what only rises stays as it is."""
    file, library = os.environ.get(CLOCK), clock_mover()
    if not file or not library:
        return {}
    return {
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_CACHE_DURATION": "1",
    }  # fmt: skip
