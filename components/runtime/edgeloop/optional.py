"""Packages that not every profile of the Runtime installs."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any, Final

from edgeloop.errors import EdgeloopError

PROFILES: Final = {
    "onnxruntime": "vision", "cv2": "vision", "dlr": "neo",
    "asyncua": "protocols", "cryptography": "protocols", "pymodbus": "protocols", "serial": "protocols",
    "paho": "mqtt", "google": "mqtt", "backports": "mqtt",
    "boto3": "upload", "pyarrow": "upload", "stream_manager": "upload",
    "av": "video", "starlette": "console", "uvicorn": "console", "argon2": "console",
}  # fmt: skip
"""Profile of io.edgeloop.Runtime by package, the smallest; a package without one is installed by hand."""
PARTS: Final = {"mqtt": "protocols"}
"""Profiles that are a part of a larger one, which brings their packages as well."""


def brought(profile: str, by: Collection[str]) -> bool:
    """Whether some of these profiles bring the packages of one.

    >>> brought("mqtt", ["core", "protocols"]), brought("mqtt", ["mqtt"]), brought("protocols", ["mqtt"])
    (True, True, False)
    """
    return profile in by or PARTS.get(profile) in by


def least(profiles: Collection[str]) -> list[str]:
    """Without those that another one brings.

    >>> least(["upload", "mqtt", "protocols"]), least(["mqtt"])
    (['protocols', 'upload'], ['mqtt'])
    """
    return sorted({profile for profile in profiles if PARTS.get(profile) not in profiles})


def load(module: str, purpose: str) -> Any:
    """The module. Raises EdgeloopError naming what lacks and where it comes from.

    >>> try: load("no_such_package", "reading tea leaves")
    ... except EdgeloopError as error: print(error)
    reading tea leaves needs a package that is not installed: no_such_package; add it to the environment
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        top = module.partition(".")[0]
        mend = f"add {PROFILES[top]!r} to profiles of io.edgeloop.Runtime" if top in PROFILES else ""
        why = top if isinstance(error, ModuleNotFoundError) and error.name == top else f"{top}: {error}"
        raise EdgeloopError(
            f"{purpose} needs a package that is not installed", why=why, mend=mend or "add it to the environment"
        ) from error
