"""`evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    evaluate = subparsers.add_parser(
        "evaluate",
        help="figures of detection over corpora of recordings",
        description="A manifest names sets of CSV files: what is learned, which column is the truth, budget, goals. "
        "The component's own engine runs over each beside trivial rules that are given the same learning rows; exit 1 "
        "if a goal is missed.",
    )
    add = evaluate.add_argument
    add("manifest", type=Path, metavar="MANIFEST.yaml")
    add("--peers", action="store_true", help="river and krcf as well, where installed, at the product's false alarms")
    add("--only", default="", metavar="SETS", help="these sets, separated by commas")
    add("--report", type=Path, metavar="FILE.html", help="a page")
    add("--json", type=Path, metavar="FILE", help="all figures")
    evaluate.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.evaluate.run import evaluate

    only = tuple(name.strip() for name in arguments.only.split(",") if name.strip())
    return evaluate(
        arguments.manifest, peers=arguments.peers, only=only, report=arguments.report, document=arguments.json
    )
