"""`doctor`: preflight of this machine, or how to run it on one without the repository."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="what keeps this device from running Edgeloop, each finding with its mend",
        description="On a device without the repository: python3 runtime.pyz doctor, from the Runtime's artifacts.",
    )
    parser.add_argument("--root", type=Path, help="the nucleus's root folder; found where it is not given")
    parser.add_argument("--user", default="", help="the user that components run as (default: the nucleus's)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    import doctor
    from doctor.device import Device

    findings = doctor.examine(Device(root=arguments.root, user=arguments.user))
    print(doctor.report(findings, as_json=arguments.json))
    return int(doctor.failed(findings))
