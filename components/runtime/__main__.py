"""`install` makes the device's Python environment, `doctor` says what stands in its way; standard library alone."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("io.edgeloop.Runtime: Python 3.11 or newer is needed, this is " + sys.version.split()[0])

import argparse
import json
import os
import signal
import subprocess
from pathlib import Path

import doctor
import locks
from doctor.device import Device
from edgeloop.errors import EdgeloopError
from environment import Environments, Lock

NAME = "io.edgeloop.Runtime"
CONFIGURATION_TIMEOUT = 60.0


def say(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)


def install(root: Path, profiles: list[str], wheelhouse: Path | None) -> None:
    """First core, with which the configuration can be read; then what the configuration asks for."""
    environments = Environments(root / "work" / NAME, say)
    core = Lock.merge(locks.read("core"))
    wheels = wheelhouse or _beside()
    current = environments.current()
    if current is None or not core.within(current):
        current = environments.install(core, wheels)
    if not profiles:
        profiles, wheels = _configured(current, wheels)
    lock = Lock.merge(*(locks.read(profile) for profile in dict.fromkeys(["core", *profiles])))
    folder = environments.install(lock, wheels)
    say(f"ready: {folder.name} with {len(lock.names())} packages")


def _beside() -> Path | None:
    """The wheelhouse that came as an artifact next to this program."""
    folder = Path(sys.argv[0]).resolve().parent
    names = (f"wheelhouse-{os.uname().machine}.zip", "wheelhouse.zip", "wheelhouse")
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None and (others := sorted(path.name for path in folder.glob("wheelhouse-*.zip"))):
        say(f"{', '.join(others)} is not for {os.uname().machine}: installing from the package index")
    return found


def _configured(environment: Path, wheels: Path | None) -> tuple[list[str], Path | None]:
    """(profiles, wheelhouse) from the nucleus, read with the environment's own packages."""
    if "SVCUID" not in os.environ:
        return [], wheels
    command = [str(environment / "bin" / "python"), sys.argv[0], "configuration"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CONFIGURATION_TIMEOUT)
    except subprocess.TimeoutExpired:
        say("the configuration could not be read in time: installing core only")
        return [], wheels
    if done.returncode:
        say(f"{(done.stderr.strip().splitlines() or ['no reason given'])[-1]}: installing core only")
        return [], wheels
    configuration = json.loads(done.stdout)
    profiles = configuration["profiles"].replace(",", " ").split()
    for unknown in [word for word in profiles if word not in locks.PROFILES]:
        say(f"no such profile (profiles): {unknown!r}; one of {', '.join(locks.PROFILES)}")
    path = configuration["wheelhouse"]
    return [word for word in profiles if word in locks.PROFILES], Path(path) if path else wheels


def configuration() -> None:
    """Prints the component's configuration as JSON; runs in the new environment."""
    import msgspec

    from declaration import Configuration
    from edgeloop.bus import Bus
    from edgeloop.config.load import convert

    with Bus() as bus:
        bus.wait_connected(CONFIGURATION_TIMEOUT / 2)
        value = bus.get_configuration()
    value.pop("accessControl", None)
    print(msgspec.json.encode(convert(value, Configuration)).decode())


def diagnose(root: Path | None, user: str, as_json: bool) -> int:
    """Prints the findings; 1 where one is a problem."""
    findings = doctor.examine(Device(root=root, user=user))
    print(doctor.report(findings, as_json=as_json))
    return int(doctor.failed(findings))


def main(argv: list[str] | None = None) -> int:
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
    examining.add_argument("--json", action="store_true", help="one JSON document")
    verbs.add_parser("configuration", help="print the configuration as JSON")
    verbs.add_parser("run", help="ends at once")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.verb == "install":
            install(arguments.root, arguments.profiles, arguments.wheelhouse)
        elif arguments.verb == "configuration":
            configuration()
        elif arguments.verb == "doctor":
            return diagnose(arguments.root, arguments.user, arguments.json)
    except EdgeloopError as error:
        if arguments.debug:
            raise
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
