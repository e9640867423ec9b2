"""What single commands need beyond the tools: installed at its first use, from a lock of its own."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import time
from pathlib import Path

import packages
from edgeloop.errors import EdgeloopError
from edgeloop_tools import checkout
from environment import STAMP, locked, make, usable
from requirements import Lock

LOCKS = Path(__file__).resolve().parents[1] / "locks"


def need(*names: str) -> None:
    """Has the named extras (`vision`, `analytics`, ...: the locks) in the environment that this runs in.

    Says what it will download before it does. Raises EdgeloopError, one line, where they cannot be installed, or where
    the environment is not of this checkout's making and lacks a package. Without a checkout (a training job's bundle)
    it is left to those who made the environment.
    """
    for name in names if LOCKS.is_dir() else ():
        _need(name, Path(sys.prefix))


def missing(name: str) -> bool:
    """Whether `need` would have to install something."""
    return not _there(name, _read(name), Path(sys.prefix))


def borrow(name: str, environment: Path) -> None:
    """As `need`; what another environment of this Python holds is used from there, and nothing is fetched.

    environment: such as the Runtime's of a local core. Raises EdgeloopError.
    """
    if not missing(name):
        return
    folder = environment.resolve()
    if usable(folder) and Lock.merge(_read(name)).pins() <= packages.installed(folder).keys():
        sys.path.append(str(packages.site(folder)))
        importlib.invalidate_caches()
        return
    need(name)


def _need(name: str, folder: Path) -> None:
    text = _read(name)
    if _there(name, text, folder):
        return
    lock = Lock.merge(text)
    if not (folder / STAMP).is_file():
        lacking = ", ".join(module for module in lock.imports if importlib.util.find_spec(module) is None)
        raise EdgeloopError(
            f"this needs packages of the extra {name!r}", where=str(folder), why=f"missing: {lacking}",
            mend=f"pip install -r {LOCKS / name}.txt",
        )  # fmt: skip
    _fits(name, text)
    with locked(folder.parent, checkout.say) as held:
        if _there(name, text, folder):
            return
        checkout.say(checkout.announcement(f"{name}, needed for this command", lock, folder))
        started = time.monotonic()
        make(folder, lock, held, stamp=text, stamped=_stamp(name))
        checkout.say(f"installed in {time.monotonic() - started:.0f} s")
    importlib.invalidate_caches()


def _fits(name: str, text: str) -> None:
    """Raises EdgeloopError, before anything is fetched, where the lock has no wheels for this Python."""
    found, here = re.search(r"^# wheels: .*Python ([\d. ]+),", text, re.M), f"3.{sys.version_info.minor}"
    if found and here not in found[1].split():
        raise EdgeloopError(
            f"this needs packages of the extra {name!r}", where=sys.prefix,
            why=f"they have wheels for Python {' and '.join(found[1].split())}, this is {here}",
            mend="remove .venv and make it with one of those: PATH with its python3 first",
        )  # fmt: skip


def _read(name: str) -> str:
    try:
        return (LOCKS / f"{name}.txt").read_text()
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in LOCKS.glob("*.txt") if path.stem not in ("tools", "dev")))
        raise EdgeloopError("no such extra", why=name, mend=f"one of {known}") from None


def _there(name: str, text: str, folder: Path) -> bool:
    """Whether the environment holds the extra: installed by name, by the developers' lock, or by its owner."""
    try:
        own = (folder / STAMP).read_text()
    except FileNotFoundError:
        return all(importlib.util.find_spec(module) is not None for module in Lock.merge(text).imports)
    stamp = folder / _stamp(name)
    return (stamp.is_file() and stamp.read_text() == text) or Lock.merge(text).pins() <= Lock.merge(own).pins()


def _stamp(name: str) -> str:
    return f"edgeloop.{name}.lock"
