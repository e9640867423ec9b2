"""Makes the checkout's .venv. Standard library only: the shim runs this with whatever Python it found."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (ROOT / "components", ROOT / "components" / "runtime", ROOT / "scripts")

sys.path.insert(0, str(ROOT / "components" / "runtime"))

from edgeloop.errors import EdgeloopError  # noqa: E402
from environment import MAKING, STAMP, holds, locked, make, usable  # noqa: E402
from requirements import MEGABYTE, Lock  # noqa: E402

DOWNLOAD = 2.5e6
"""B/s, a 20 Mbit/s line."""
UNPACKING = 10e6
"""B/s of installed files, one slow core."""


def say(line: str) -> None:
    print(f"edgeloop: {line}", file=sys.stderr, flush=True)


def announcement(what: str, lock: Lock, folder: Path) -> str:
    minutes = max(1, round((lock.download / DOWNLOAD + lock.disk / UNPACKING) / 60))
    unit = "minute" if minutes == 1 else "minutes"
    return (
        f"{what}: installing {len(lock.names())} Python packages into {folder}: about {minutes} {unit}, "
        f"{lock.download // MEGABYTE} MB to download (counted at 20 Mbit/s), {lock.disk // MEGABYTE} MB on disk"
    )


def install(folder: Path, name: str) -> None:
    """Makes, completes or re-syncs the environment; two at once do it once."""
    text = (ROOT / "scripts" / "locks" / f"{name}.txt").read_text()
    lock = Lock.merge(text)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EdgeloopError("cannot make the folder", where=str(folder.parent), why=error.strerror or "",
                            mend="set EDGELOOP_VENV to a folder that can be written") from error  # fmt: skip
    with locked(folder.parent, say) as held:
        if holds(folder, text):
            return
        if usable(folder):
            say(f"the lock changed: bringing {folder} up to date")
        elif _foreign(folder):
            raise EdgeloopError("this folder is no Python environment", where=str(folder), mend="remove it")
        else:
            say(announcement("first use", lock, folder))
        started = time.monotonic()
        serving = usable(folder)
        try:
            make(folder, lock, held, paths=SOURCES, stamp=text)
        except EdgeloopError as error:
            if not serving:
                raise
            say(f"{error}; going on with what is installed")
            return
        say(f"installed in {time.monotonic() - started:.0f} s")


def _foreign(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir()) and not any((folder / n).exists() for n in (STAMP, MAKING))


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder, name = arguments
    try:
        install(Path(folder).absolute(), name)
    except EdgeloopError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next call begins again")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
