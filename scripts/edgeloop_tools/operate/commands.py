"""The verb of operators."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

REASONS = ("true", "false", "maintenance", "process_change")


def register(verbs: Subparsers) -> None:
    """Add `alarm`."""
    alarm = verbs.add_parser(
        "alarm", help="list, acknowledge and shelve alarms",
        description="Of the local core, or of the nucleus at --root. The reason of an `ack` is a label to train on.",
    )  # fmt: skip
    actions = alarm.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="open alarms, and those that came and went without being acknowledged")
    listing.add_argument("--all", action="store_true", help="also acknowledged ones that are over, and those held back")
    listing.add_argument("--asset", default="", metavar="ID")
    _common(listing, "list_")
    ack = actions.add_parser("ack", help="acknowledge, with a reason")
    _ids(ack)
    ack.add_argument("--group", action="store_true", help="all alarms of the group that are not over or not seen")
    ack.add_argument("--reason", required=True, choices=REASONS)
    _sent(ack, "ack")
    shelve = actions.add_parser("shelve", help="silence for a while")
    _ids(shelve)
    shelve.add_argument("--for", dest="span", required=True, metavar="SPAN", help="such as 8h or 30min; at most 30 d")
    _sent(shelve, "shelve")
    unshelve = actions.add_parser("unshelve", help="end the silence")
    _ids(unshelve)
    _sent(unshelve, "unshelve")
    part = verbs.add_parser("part", help="what a person says of a part: a label to train on")
    wrong = part.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "wrong", help="a verdict was wrong: what the part is",
    )
    wrong.add_argument("part", metavar="CAMERA/PART", help="as in results and on the page")
    wrong.add_argument("--label", required=True, metavar="LABEL", help="such as good, or scratch")
    wrong.add_argument("--by", default="", metavar="NAME", help="who says so (the user's name)")
    wrong.add_argument("--root", type=Path, metavar="DIR", help="of a nucleus, or of a local core")
    wrong.set_defaults(run=_wrong)


def _wrong(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.operate.parts import wrong

    return wrong(arguments)


def _ids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="of an alarm; the last letters are enough")


def _sent(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--by", default="", metavar="NAME", help="who says so (the user's name)")
    parser.add_argument("--wait", type=float, default=15.0, metavar="S", help="for the confirmation (15)")
    parser.add_argument(
        "--publish-with", default="", metavar="COMMAND",
        help="program that publishes, with {topic} and {payload}: for devices, where a shell has no access to the bus",
    )  # fmt: skip
    _common(parser, name)


def _common(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="of a nucleus, or of a local core ($EDGELOOP_CORE_ROOT)"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines on standard output")

    def run(arguments: argparse.Namespace) -> int | None:
        from edgeloop_tools.operate import alarms

        action: Any = getattr(alarms, name)
        code: int | None = action(arguments)
        return code

    parser.set_defaults(run=run)
