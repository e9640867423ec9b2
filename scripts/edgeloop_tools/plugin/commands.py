"""The verb `new`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `new`."""
    new = verbs.add_parser(
        "new",
        help="a plug-in of your own: a folder with code, README, sample and cases that pass",
        description="Makes DIR/sources/NAME, or in cameras, detectors or destinations, for `plugins: DIR` of a line.",
    )
    kinds = new.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, what in (
        ("source", "samples from what no type reads yet"),
        ("camera", "frames, by a URI's scheme"),
        ("detector", "alarms of what none of the detectors looks for yet"),
        ("destination", "alarms and other records to where no type sends them yet"),
    ):
        parser = kinds.add_parser(kind, help=what)
        parser.add_argument("name", help="a-z, 0-9 and _")
        parser.add_argument("--in", dest="folder", default="plugins", metavar="DIR", help="of all plug-ins (plugins)")
        parser.set_defaults(run=_new)


def _new(args: argparse.Namespace) -> int:
    from edgeloop_tools.plugin.scaffold import make

    made = make(args.kind, args.name, Path(args.folder))
    sys.stdout.write(f"{made}: code, README.md, sample.yaml and cases/\n")
    sys.stdout.write(f"its cases: ./scripts/edgeloop test {made}\n")
    return 0
