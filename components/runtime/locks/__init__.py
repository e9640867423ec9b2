"""What each profile installs: one lock per profile, with hashes, for every platform and Python 3.11 and newer."""

from collections.abc import Iterable
from importlib.resources import files

PROFILES = ("core", "mqtt", "protocols", "vision", "upload", "neo", "video", "console")


def read(profile: str) -> str:
    return files(__name__).joinpath(f"{profile}.txt").read_text(encoding="utf-8")


def nothing_here(profiles: Iterable[str], machine: str) -> str:
    """A line where a profile that is asked for adds nothing on a machine, else "".

    >>> nothing_here(["core", "neo"], "aarch64")
    'the profile neo adds nothing on aarch64: dlr 1.6.0 has a wheel for x86_64 alone; use ONNX models'
    """
    if "neo" in profiles and machine != "x86_64":
        return f"the profile neo adds nothing on {machine}: dlr 1.6.0 has a wheel for x86_64 alone; use ONNX models"
    return ""
