from __future__ import annotations

import base64
import errno
import hashlib
import ipaddress
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("edgeloop", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("edgeloop")

Wheel = Callable[..., str]
_HERE = ("", "localhost", "ip6-localhost", "0.0.0.0", "::", socket.gethostname().lower())


def _stays(host: object) -> bool:
    """Whether what is sent there stays on this machine."""
    name = (host.decode(errors="replace") if isinstance(host, bytes) else str(host or "")).lower().rstrip(".")
    if name in _HERE or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """Where the suite runs in a shell's background, Ctrl-C is ignored by it and by all programs it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _nobody_leaves_the_machine() -> Iterator[None]:
    """No client in the tests' own process reaches another machine: a name is not looked up, an address not there."""
    patch = pytest.MonkeyPatch()
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if _stays(host) or _address(host):
            return resolve(host, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, f"a test does not leave the machine: {host}")

    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, name, _refusing(name))
    yield
    patch.undo()


def _address(host: object) -> bool:
    try:
        return bool(ipaddress.ip_address(str(host).partition("%")[0]))
    except ValueError:
        return False


def _refusing(name: str) -> Any:
    real = getattr(socket.socket, name)

    def call(self: socket.socket, *arguments: Any) -> Any:
        to = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(to, tuple) and not _stays(to[0]):
            if name == "connect_ex":
                return errno.ENETUNREACH
            raise OSError(errno.ENETUNREACH, f"a test does not leave the machine: {to[0]}")
        return real(self, *arguments)

    return call


@pytest.fixture
def make_wheel(tmp_path: Path) -> Wheel:
    """Makes a real wheel of one module below tmp_path/wheels; returns its line of a lock."""

    def make(name: str, version: str = "1.0", source: str = "") -> str:
        folder = tmp_path / "wheels"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}-{version}-py3-none-any.whl"
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": source,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = ""
        with zipfile.ZipFile(path, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)
                digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
                record += f"{file},sha256={digest},{len(text.encode())}\n"
            archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"

    return make


CORES = {"test_bad_days": "one", "test_demo": "one", "test_operators": "one"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Two workers have a core each for the end-to-end tests, so that the Runtime is installed twice, not per worker;
    one has the Console's line and its Chromium."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = Path(nodeid.partition("::")[0])
            if "end_to_end" in path.parts:
                return CORES.get(path.stem, "other")
            return "console" if path.parent.name == "console" else nodeid

    return Scheduling(config, log) if config.getoption("dist") == "loadgroup" else None
