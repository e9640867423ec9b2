"""The verb of a device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `device check`."""
    device = verbs.add_parser("device", help="prove that this device and its nucleus run Edgeloop")
    actions = device.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "check", help="deploy a simulated machine, let it raise an alarm and act, kill, upgrade, go back, remove",
        description="With this machine's nucleus, or the one at --root. Takes some minutes, refuses where Edgeloop is "
        "deployed already, and leaves the device as it was, also on Ctrl-C.",
    )  # fmt: skip
    check.add_argument("--root", type=Path, metavar="DIR", help="of a nucleus or a core ($EDGELOOP_NUCLEUS)")
    check.add_argument("--keep", action="store_true", help="leave the simulated machine deployed")
    check.add_argument("--soak", default="", metavar="TIME", help="also watch memory that long, such as 1h")
    check.add_argument("--json", type=Path, metavar="FILE", help="the same as JSON")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.device import check

    return check.run(arguments)
