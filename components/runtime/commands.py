"""The command line of `runtime.pyz`, but for `run`, which stays and holds as little as it can."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import doctor
import ipc
import locks
from doctor.device import Device
from edgeloop.errors import BusError, EdgeloopError
from environment import Environments
from requirements import Lock

NAME = "io.edgeloop.Runtime"
CONFIGURATION_TIMEOUT = 30.0
Say = Callable[[str], None]


def install(root: Path, profiles: list[str], wheelhouse: Path | None, say: Say) -> None:
    """One environment, for what the configuration asks for: read before there is one."""
    environments = Environments(root / "work" / NAME, say)
    wheels = wheelhouse or _beside(say)
    if not profiles and ipc.there():
        try:
            profiles, configured = wanted(ipc.configuration(CONFIGURATION_TIMEOUT), say)
            wheels = configured or wheels
        except BusError as error:
            if (serving := environments.current()) is not None:
                say(f"{error}: {serving.name} goes on serving")
                return
            say(f"{error}: installing core only, until it can be read")
    words = list(dict.fromkeys(["core", *profiles]))
    lock = Lock.merge(*map(locks.read, words))
    environments.ask(words)
    if note := locks.nothing_here(words, os.uname().machine):
        say(note)
    folder = environments.install(lock, wheels, words)
    say(f"ready: {folder.name} with {len(lock.names())} packages ({' '.join(words)})")


def wanted(configuration: dict[str, object], say: Say) -> tuple[list[str], Path | None]:
    """(profiles, wheelhouse) of a configuration; what is unknown is said and left out."""
    words = str(configuration.get("profiles", "")).replace(",", " ").split()
    for unknown in [word for word in words if word not in locks.PROFILES]:
        say(f"no such profile (profiles): {unknown!r}; one of {', '.join(locks.PROFILES)}")
    path = str(configuration.get("wheelhouse", ""))
    return [word for word in words if word in locks.PROFILES], Path(path) if path else None


def _beside(say: Say) -> Path | None:
    """The wheelhouse that came as an artifact next to this program."""
    folder = Path(sys.argv[0]).resolve().parent
    names = (f"wheelhouse-{os.uname().machine}.zip", "wheelhouse.zip", "wheelhouse")
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None and (others := sorted(path.name for path in folder.glob("wheelhouse-*.zip"))):
        say(f"{', '.join(others)} is not for {os.uname().machine}: installing from the package index")
    return found


def diagnose(root: Path | None, user: str, profiles: list[str], as_json: bool) -> int:
    """Prints the findings; 1 where one is a problem."""
    findings = doctor.examine(Device(root=root, user=user, profiles=tuple(profiles)))
    print(doctor.report(findings, as_json=as_json))
    return int(doctor.failed(findings))


def main(argv: list[str], say: Say) -> int:
    parser = argparse.ArgumentParser(prog=NAME, description=__doc__)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = parser.add_subparsers(dest="verb", required=True)
    installing = verbs.add_parser("install", help="make the environment and switch to it")
    installing.add_argument("--root", type=Path, required=True, help="the nucleus's root folder")
    installing.add_argument("--profiles", nargs="*", default=[], choices=locks.PROFILES, metavar="PROFILE",
                            help=f"instead of what the configuration says: {', '.join(locks.PROFILES)}")  # fmt: skip
    installing.add_argument("--wheelhouse", type=Path, help="a folder or a zip file of wheels")
    examining = verbs.add_parser("doctor", help="what keeps this device from running Edgeloop, with the mend")
    examining.add_argument("--root", type=Path, help="the nucleus's root folder; found where it is not given")
    examining.add_argument("--user", default="", help="the user that components run as")
    examining.add_argument("--profiles", nargs="*", default=["core"], choices=locks.PROFILES, metavar="PROFILE",
                           help="what will be installed, for the room it takes; default: core")  # fmt: skip
    examining.add_argument("--json", action="store_true", help="one JSON document")
    running = verbs.add_parser("run", help="stay, and have the environment follow the configuration")
    running.add_argument("--root", required=True, help="the nucleus's root folder")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.verb == "install":
            install(arguments.root, arguments.profiles, arguments.wheelhouse, say)
        elif arguments.verb == "doctor":
            return diagnose(arguments.root, arguments.user, arguments.profiles, arguments.json)
        else:
            import watch

            return watch.main(arguments.root, say)
    except EdgeloopError as error:
        if arguments.debug:
            raise
        say(str(error))
        return 1
    return 0
