"""Packages that come later: whether the environment holds a profile of the Runtime, and waiting until it does."""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgeloop.optional import PARTS, PROFILES, brought

RUNTIME: Final = "io.edgeloop.Runtime"
PROBLEM: Final = "packages"
ASKED: Final = "asked"
"""File of the Runtime's work folder: what its last install was asked for."""
BEING_MADE: Final = 1800.0
"""Seconds that a profile which the Runtime was asked for is waited for."""
NOT_ASKED: Final = 60.0
"""And one that it was not: the configuration of both may be on its way."""
_EVERY: Final = 1.0


def missing(profile: str) -> list[str]:
    """Packages of a profile that this process cannot import.

    >>> missing("core"), missing("no_such_profile")
    ([], [])
    """
    importlib.invalidate_caches()
    return [
        name for name, of in PROFILES.items()
        if profile in (of, PARTS.get(of)) and importlib.util.find_spec(name) is None
    ]  # fmt: skip


def wait(profile: str, root: Path, pause: Callable[[float], bool], report: Callable[[str, str | None], None]) -> bool:
    """Waits until the packages of a profile are there; False where they did not come in time, or `pause` said stop.

    root: the nucleus's folder. pause: waits so many seconds, true where the process is to end. report: key and line of
    what is wrong, None when it is over.
    """
    started = time.monotonic()
    while lacking := missing(profile):
        asked = brought(profile, _asked(root))
        waited = time.monotonic() - started
        if waited >= (BEING_MADE if asked else NOT_ASKED):
            mend = f"look at the log of {RUNTIME}" if asked else f"add {profile!r} to profiles of {RUNTIME}"
            report(PROBLEM, f"{', '.join(lacking)} did not come in {waited:.0f} s; {mend}")
            return False
        doing = "is making it" if asked else "has not been asked for it yet"
        report(PROBLEM, f"waiting for {', '.join(lacking)} (profile {profile!r}): {RUNTIME} {doing}")
        if pause(_EVERY):
            return False
    report(PROBLEM, None)
    return True


def _asked(root: Path) -> list[str]:
    try:
        return (root / "work" / RUNTIME / ASKED).read_text().split()
    except OSError:
        return []
