"""`label`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers

FORMATS = ("coco", "yolo", "cvat", "label-studio", "groundtruth")


def register(subparsers: Subparsers) -> None:
    label = subparsers.add_parser(
        "label",
        help="labels of pictures: a page to set them on, other programs' in and out, likely wrong ones",
        description="DIR has pictures (a folder for each class, or dataset.manifest). Without --serve, --export and "
        "--wrong it says what is there. Labels are kept in DIR/dataset.manifest, each one's history in "
        "DIR/labels.jsonl.",
    )
    add = label.add_argument
    add("data", type=Path, metavar="DIR", help="the data set, or a manifest")
    add("--serve", action="store_true", help="a page at 127.0.0.1, for keyboard and mouse")
    add("--port", type=int, default=0, metavar="PORT", help="of the page (any)")
    add("--listen", default="", metavar="ADDRESS", help="other than this machine alone; needs --password-file")
    add("--password-file", type=Path, metavar="FILE", help="the password of everybody who labels, not readable by all")
    add("--classes", default="", metavar="A,B,…", help="of the data set; otherwise those that are there")
    add("--import", dest="bring", metavar="FORMAT=FILE", help=f"labels of {', '.join(FORMATS)}, into DIR")
    add("--pictures", type=Path, metavar="DIR", help="where the pictures of --import lie (beside its file)")
    add("--export", metavar="FORMAT=FILE", help="labels for another program")
    add("--wrong", action="store_true", help="likely wrong labels, most likely first; with --serve shown first")
    add("--next", type=int, default=0, metavar="N", help="the N pictures whose labels would teach most; with --serve "
        "shown first")  # fmt: skip
    add("--json", action="store_true", help="one JSON object")
    label.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras

    extras.need("vision", *(("console",) if arguments.serve else ()))
    from edgeloop_tools.label.run import run

    return run(arguments)
