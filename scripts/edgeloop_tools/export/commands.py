"""The verb that takes samples off a device."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `export`."""
    export = verbs.add_parser(
        "export", help="samples of a stream, from the journal to a file",
        description="Reads the journal of the local core, or of the nucleus at --root; nothing there is changed.",
    )  # fmt: skip
    export.add_argument("stream", metavar="STREAM", nargs="?", default="")
    export.add_argument("--dead", action="store_true", help="the payloads that nothing understood, not samples")
    export.add_argument(
        "-o", "--output", default="", metavar="FILE", help=".csv, .parquet or .npy; -: CSV to standard output"
    )
    export.add_argument("--last", metavar="SPAN", help="up to the newest sample, such as 10m or 2h")
    export.add_argument("--start", metavar="TIME", help="first time, ISO 8601 (UTC where it names no zone)")
    export.add_argument("--end", metavar="TIME", help="time that is no longer wanted")
    export.add_argument("--raw", action="store_true", help="integers as they were sampled, not physical values")
    export.add_argument(
        "--root", type=Path, metavar="DIR", help="of a nucleus, or of a local core ($EDGELOOP_CORE_ROOT)"
    )
    export.add_argument("--json", action="store_true", help="what was exported as JSON, on standard error")
    export.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int | None:
    if arguments.dead:
        from edgeloop_tools.export.dead import show

        return show(arguments.root, arguments.stream, as_json=arguments.json)
    if not arguments.stream or not arguments.output:
        raise EdgeloopError("nothing to export", mend="say `export STREAM -o FILE`, or `export --dead [SOURCE]`")
    from edgeloop_tools.export.run import run
    from edgeloop_tools.tables import need

    need([Path(arguments.output)])
    return run(arguments)
