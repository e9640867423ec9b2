"""What each profile installs: one lock per profile, with hashes, for every platform and Python 3.11 and newer."""

from importlib.resources import files

PROFILES = ("core", "protocols", "vision", "upload", "neo", "video", "console")


def read(profile: str) -> str:
    return files(__name__).joinpath(f"{profile}.txt").read_text(encoding="utf-8")
