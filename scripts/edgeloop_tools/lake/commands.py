"""`lake`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    lake = subparsers.add_parser("lake", help="few large tables over all sites, from what went up")
    verbs = lake.add_subparsers(dest="lake_verb", required=True, metavar="COMMAND")
    compact = verbs.add_parser(
        "compact",
        help="make or continue the tables",
        description="Reads what StreamUpload wrote (schemas 1 and 2) and keeps lake/<table>/site=/date=/part.parquet: "
        "indicators_1m, indicators_1h, gaps. A day is made anew only where files of it came or changed.",
    )
    compact.add_argument("--data", required=True, metavar="DIR|s3://…", help="where it was uploaded to")
    compact.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that has or gets lake/")
    compact.set_defaults(run=_compact)


def _compact(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.extras import need
    from edgeloop_tools.lake.compact import compact

    need("parquet")
    done = compact(arguments.data, arguments.out, say=print)
    print(done)
    return 0
