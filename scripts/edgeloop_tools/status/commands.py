"""The verb `status`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

WAIT = 12.0


def register(verbs: Subparsers) -> None:
    """Add `status`."""
    status = verbs.add_parser(
        "status", help="one screen: what runs, flows, learns, waits and alarms; exit code 1 if anything is not ok",
        description="Of the nucleus of this machine, the local core, or what is at --root.",
    )  # fmt: skip
    status.add_argument("--root", type=Path, metavar="DIR", help="of a nucleus, or of a core ($EDGELOOP_CORE_ROOT)")
    status.add_argument("--json", action="store_true", help="JSON on standard output, an object a line")
    status.add_argument(
        "--wait", type=float, default=WAIT, metavar="S",
        help=f"listen to the bus of a local core for at most so long ({WAIT:g}); slow streams need more",
    )  # fmt: skip
    status.set_defaults(run=_status)


def _status(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.status import show
    from edgeloop_tools.status.gather import gather
    from edgeloop_tools.status.lines import lines

    found = lines(gather(arguments.root, arguments.wait))
    show.print_json(found) if arguments.json else show.print_table(found)
    return 0 if all(line.ok for line in found) else 1
