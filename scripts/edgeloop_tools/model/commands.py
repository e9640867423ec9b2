"""`model`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers

TASKS = ("classification", "detection", "segmentation", "one_class", "embedding", "keypoints")
HEADS = (
    "boxes", "yolo", "yolo_end", "ssd", "points", "centernet", "classification", "segmentation", "one_class",
    "memory_bank", "embedding", "keypoints",
)  # fmt: skip


def register(subparsers: Subparsers) -> None:
    model = subparsers.add_parser("model", help="packages of models: make one of anyone's model, look into one")
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    _package(actions)
    inspect = actions.add_parser("inspect", help="what a package says of itself")
    inspect.add_argument("package", type=Path, metavar="FILE.tar")
    inspect.add_argument("--card", action="store_true", help="for people: what it is for, and its figures")
    inspect.set_defaults(run=_inspect)


def _package(actions: Subparsers) -> None:
    package = actions.add_parser(
        "package",
        help="a package of an ONNX model: looked at, tried on pictures, measured",
        description="What is not said is found out from the graph and from pictures, shown with the option that would "
        "change it. Exit code 1 where nobody can read the model's outputs.",
    )
    add = package.add_argument
    add("model", type=Path, metavar="MODEL.onnx|DIR", help="a file, or a folder with one (and labels.txt)")
    add("--task", default="", choices=("", *TASKS), metavar="T", help=", ".join(TASKS))
    add("--name", required=True, metavar="N", help="of the model in the configuration: a-z 0-9 _ -")
    add("--version", required=True, metavar="X.Y.Z")
    add("--labels", type=Path, metavar="FILE", help="one a line, or YAML or JSON")
    add("--images", type=Path, metavar="DIR", help="pictures, good ones where there are bad ones too")
    add("--bad", type=Path, metavar="DIR", help="pictures that must fail: threshold and confidence come from them")
    add("--head", default="", choices=("", *HEADS), metavar="NAME", help=", ".join(HEADS))
    add("--size", default="", metavar="WxH", help="of the input, where the graph leaves it open")
    add(
        "--fit",
        default="",
        choices=("", "stretch", "letterbox", "crop"),
        metavar="HOW",
        help="stretch, letterbox, crop",
    )
    add("--colours", default="", choices=("", "rgb", "bgr", "grey"), metavar="C", help="rgb, bgr or grey")
    add("--scale", type=float, metavar="S", help="values 0..255 are divided by it")
    add("--mean", default="", metavar="M", help="subtracted after that: a number, or one for each channel (a,b,c)")
    add("--std", default="", metavar="D", help="what is divided by after that, likewise")
    add("--threshold", type=float, metavar="T", help="score from which a part fails")
    add("--golden", type=int, default=4, metavar="N", help="cases that each device has to reproduce (4)")
    add("--sign", type=Path, metavar="KEY", help="file of the private key: 32 bytes in base64")
    add("--preview", type=Path, metavar="DIR", help="writes the pictures there, with what was seen on them")
    add("--description", default="", metavar="TEXT", help="for the card")
    add("--licence", default="", metavar="TEXT", help="of the model, for the card")
    add("--json", action="store_true", help="one JSON document")
    add("-o", "--out", type=Path, required=True, metavar="FILE.tar")
    package.set_defaults(run=_make)


def _make(arguments: argparse.Namespace) -> int:
    from edgeloop_tools import extras

    extras.need("vision")
    from edgeloop_tools.model import show
    from edgeloop_tools.model.make import Wishes, make

    wishes = Wishes(
        model=arguments.model, name=arguments.name, version=arguments.version, out=arguments.out, task=arguments.task,
        labels=arguments.labels, images=arguments.images, bad=arguments.bad, head=arguments.head,
        size=show.size(arguments.size), fit=arguments.fit, colours=arguments.colours, scale=arguments.scale,
        mean=show.numbers(arguments.mean, "--mean"), deviation=show.numbers(arguments.std, "--std"),
        threshold=arguments.threshold, golden=arguments.golden, key=show.key(arguments.sign),
        description=arguments.description, licence=arguments.licence,
    )  # fmt: skip
    show.check(wishes)
    made = make(wishes)
    if arguments.preview is not None:
        show.preview(made, arguments.preview)
    print(show.document(made) if arguments.json else show.text(made))
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.model import show

    print(show.inspected(arguments.package, card=arguments.card))
    return 0
