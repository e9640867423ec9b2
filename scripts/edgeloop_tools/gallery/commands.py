"""`gallery`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    gallery = subparsers.add_parser("gallery", help="classes of a few pictures each, without training")
    verbs = gallery.add_subparsers(dest="gallery_verb", required=True, metavar="COMMAND")
    add = verbs.add_parser(
        "add",
        help="a class, or more pictures of one",
        description="Makes the next version of a package that compares pictures (task embedding): what its own model "
        "says of these pictures stands for the class. Deploy it as any other version; nothing is restarted.",
    )
    add.add_argument("gallery", type=Path, metavar="GALLERY", help="a model package of task embedding")
    add.add_argument("name", metavar="CLASS")
    add.add_argument("images", type=Path, nargs="+", metavar="IMAGES", help="files, or folders of them")
    add.set_defaults(run=_add)
    remove = verbs.add_parser(
        "remove", help="a class, with all that stands for it",
        description="Makes the next version without the class; what older versions hold of it goes with their files.",
    )  # fmt: skip
    remove.add_argument("gallery", type=Path, metavar="GALLERY")
    remove.add_argument("name", metavar="CLASS")
    remove.set_defaults(run=_remove)
    shown = verbs.add_parser("list", help="its classes, with how many pictures stand for each")
    shown.add_argument("gallery", type=Path, metavar="GALLERY")
    shown.set_defaults(run=_list)
    for parser in (add, remove):
        parser.add_argument("--out", type=Path, metavar="FILE", help="default: <name>-<version>.tar beside it")
        parser.add_argument("--version", metavar="N", help="of the new package; default: the next patch")


def _add(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.extras import need

    need("vision")
    from edgeloop_tools.gallery.package import Gallery

    with Gallery(arguments.gallery) as gallery:
        count = gallery.add(arguments.name, arguments.images)
        path, digest = gallery.save(arguments.out, arguments.version)
    print(f"{arguments.name}: {count} pictures; {path} sha256:{digest}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.gallery.package import Gallery

    with Gallery(arguments.gallery) as gallery:
        count = gallery.remove(arguments.name)
        path, digest = gallery.save(arguments.out, arguments.version)
    print(f"{arguments.name} and its {count} pictures are gone; {path} sha256:{digest}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.gallery.package import Gallery

    with Gallery(arguments.gallery) as gallery:
        for name, count in gallery.classes().items():
            print(f"{count:>5}  {name}")
    return 0
