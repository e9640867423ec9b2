"""`doctor`: preflight of this machine, or how to run it on one without the repository."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doctor.finding import Finding
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="what keeps this device from running Edgeloop, each finding with its mend",
        description="On a device without the repository: python3 runtime.pyz doctor, from the Runtime's artifacts.",
    )
    parser.add_argument("--root", type=Path, help="the nucleus's root folder; found where it is not given")
    parser.add_argument("--user", default="", help="the user that components run as (default: the nucleus's)")
    parser.add_argument("--profiles", nargs="*", default=["core"], metavar="PROFILE",
                        help="what will be installed, for the room it takes (default: core)")  # fmt: skip
    parser.add_argument("--line", type=Path, metavar="FILE", help="a line.yaml: whether all of it has arrived")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    import doctor
    import locks
    from doctor.device import Device
    from edgeloop.errors import EdgeloopError

    if unknown := sorted(set(arguments.profiles) - set(locks.PROFILES)):
        raise EdgeloopError("no such profile", why=", ".join(unknown), mend=f"one of {', '.join(locks.PROFILES)}")
    device = Device(root=arguments.root, user=arguments.user, profiles=tuple(arguments.profiles))
    findings = doctor.examine(device)
    if arguments.line:
        findings += _arrived(arguments.line, arguments.root)
    print(doctor.report(findings, as_json=arguments.json))
    return int(doctor.failed(findings))


def _arrived(file: Path, root: Path | None) -> list[Finding]:
    """Keys of the line that the device has not, or otherwise."""
    from doctor.finding import Finding
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.config import load, overlays
    from edgeloop_tools.model.publish import resolved
    from edgeloop_tools.nucleus import find
    from edgeloop_tools.nucleus.arrival import differences

    thing = os.environ.get("AWS_IOT_THING_NAME", "")
    over = [path for name, path in overlays(file).items() if name == thing]
    merge = resolved(load(file, over).configured())
    try:
        lacking = list(differences(merge, find(root).components()))
    except EdgeloopError as error:
        return [Finding("note", "line", "the nucleus cannot be asked", str(error))]
    mend = "deploy it again, each of them by name: `edgeloop deploy` does"
    return [Finding("problem", name, why, "", mend) for name, why in lacking] or [
        Finding("ok", "line", f"all of {file} is there")
    ]
