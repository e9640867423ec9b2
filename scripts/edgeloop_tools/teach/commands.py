"""`teach`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    teach = subparsers.add_parser(
        "teach",
        help="a first model from thirty good pictures, and a better one with a few bad ones",
        description="Looks at good pictures, learns what is normal, sets its limit by how many good parts may be "
        "rejected, and writes a package that devices take. Exit code 1 with fewer than 12 usable pictures.",
    )
    add = teach.add_argument
    add("name", metavar="NAME", help="of the model")
    add("--from", dest="source", required=True, metavar="URI|DIR|s3://…|device", help="a camera, a folder, uploaded "
        "pictures; device: --camera of the line at --root, by itself")  # fmt: skip
    add("--good", type=_count, default=30, metavar="N", help="pictures taken from a camera (30); of a folder all are")
    add("--bad", metavar="DIR|s3://…", help="a few bad ones")
    add("--template", action="store_true", help="of flat things that always lie the same, such as boards: compared "
        "place by place with their mean")  # fmt: skip
    add("--region", default="", metavar='"X Y W H"', help="part of the picture that is used, 0..1, as of the camera")
    add("--size", type=_size, metavar="WxH", help="that the model is given (from the pictures, at most 640 long)")
    add("--reject", type=_share, default=0.01, metavar="SHARE", help="of the good parts that may be rejected (1%%)")
    add("--camera", default="", metavar="ID", help="camera that is to use it: with --activate; else for the hint alone")
    add("--version", default="", help="of the model (1.0.0; the next minor one where FILE.tar is there)")
    add("-o", "--out", type=Path, metavar="FILE.tar", help="(NAME.tar)")
    add("--key", type=Path, metavar="NAME.key", help="signs it")
    add("--by", default="", metavar="NAME", help="who taught it, in its provenance")
    add("--activate", action="store_true", help="on this machine's local core, through ModelUpdate")
    add("--root", type=Path, metavar="DIR", help="of the local core ($EDGELOOP_CORE_ROOT)")
    add("--yes", action="store_true", help="asks nothing")
    add("--json", action="store_true", help="what came of it, as one JSON object")
    teach.set_defaults(run=_run)


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 2000:
        raise argparse.ArgumentTypeError("1 to 2000")
    return value


def _share(text: str) -> float:
    """
    >>> _share("1%"), _share("0.005")
    (0.01, 0.005)
    """
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError("such as 1% or 0.01") from None
    if not 0 < value <= 0.2:
        raise argparse.ArgumentTypeError("above 0, at most 20%")
    return value


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(word) for word in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError("such as 640x480") from None
    if not (64 <= width <= 1280 and 64 <= height <= 1280) or width % 16 or height % 16:
        raise argparse.ArgumentTypeError("64 to 1280, multiples of 16")
    return width, height


def _run(arguments: argparse.Namespace) -> int:
    if arguments.source == "device":
        from edgeloop_tools.teach.device import run as by_itself

        return by_itself(arguments)
    from edgeloop_tools.extras import need

    need("vision")
    from edgeloop_tools.teach.run import run

    return run(arguments)
