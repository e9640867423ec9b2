"""The verb `console`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `console`."""
    console = verbs.add_parser(
        "console", help="who may use the page of a line",
        description="`console user add NAME --role viewer|operator|engineer`, `remove NAME`, `list`; of the local "
        "core, or of the nucleus at --root. On a device: console.pyz user …, as the component's user.",
    )  # fmt: skip
    actions = console.add_subparsers(dest="action", required=True, metavar="ACTION")
    user = actions.add_parser("user", help="add, remove, list", add_help=False, prefix_chars="\0")
    user.add_argument("words", nargs="*")
    user.set_defaults(run=_user)


def _user(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras
    from edgeloop_tools.core.daemon import default_root

    extras.need("console")
    from console import users_command

    words = list(arguments.words)
    if words and "--root" not in words and not any(word.startswith("--root=") for word in words):
        words += ["--root", str(default_root())]
    return users_command.main(words)
