"""The verb `console`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `console`."""
    console = verbs.add_parser(
        "console", help="who may use the page of a line; the page of many",
        description="`console user add NAME --role viewer|operator|engineer`, `remove NAME`, `list`; of the local "
        "core, or of the nucleus at --root. On a device: console.pyz user …, as the component's user. "
        "`console --fleet` serves the same pages on this machine over what went up.",
    )  # fmt: skip
    console.add_argument("--fleet", metavar="DIR|s3://…", help="the pages over what went up from many lines")
    console.add_argument("--port", type=int, default=8322, metavar="N", help="of the fleet's page (8322; 0: any)")
    console.set_defaults(run=_fleet)
    actions = console.add_subparsers(dest="action", metavar="ACTION")
    user = actions.add_parser("user", help="add, remove, list", add_help=False, prefix_chars="\0")
    user.add_argument("words", nargs="*")
    user.set_defaults(run=_user)


def _fleet(arguments: argparse.Namespace) -> int:
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools import extras

    if not arguments.fleet:
        raise EdgeloopError("wrong use", where="console", mend="console user …, or console --fleet DIR|s3://…")
    extras.need("console", "parquet")
    import tempfile
    import time
    from pathlib import Path

    from edgeloop_tools.console.fleet import NAME, Fleet

    with (
        tempfile.TemporaryDirectory(prefix="edgeloop-") as work,
        Fleet(arguments.fleet, arguments.port, Path(work)) as fleet,
    ):
        print(f"{fleet.url} (name {NAME}, password {fleet.password}); Ctrl-C ends it", flush=True)
        while True:
            time.sleep(3600)


def _user(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras
    from edgeloop_tools.core.daemon import default_root

    extras.need("console")
    from console import users_command

    words = list(arguments.words)
    if words and "--root" not in words and not any(word.startswith("--root=") for word in words):
        words += ["--root", str(default_root())]
    return users_command.main(words)
