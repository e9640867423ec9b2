"""The options of tables on the command line, and the extras that read what is no text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeloop.tables import Options

NAMES = ("time", "form", "dayfirst", "zone", "decimal", "thousands", "skip", "by", "value", "sheet", "missing")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of how a table is written: the same words as those of a source of type replay."""
    add = parser.add_argument_group("tables", "how a file is written, where that is not found out").add_argument
    add("--time", default="", metavar="COLUMN", help='column of times, or two: "date + time"')
    add("--form", default="", metavar="FORM", help="of a time, as strptime has it, or s, ms, us, ns, excel …")
    add("--dayfirst", type=_truth, metavar="true|false", help="of dates such as 03/10/2024")
    add("--zone", default="", metavar="ZONE", help="of times that name none, such as Europe/Berlin (UTC)")
    add("--decimal", default="", choices=(".", ","), metavar="MARK", help="decimal mark")
    add("--thousands", default="", choices=(".", ",", " ", "'"), metavar="MARK", help="mark of thousands")
    add("--skip", type=int, metavar="LINES", help="above the header")
    add("--by", default="", metavar="COLUMN", help="of tags, where each has a row of its own")
    add("--value", default="", metavar="COLUMN", help="of values, beside --by")
    add("--sheet", default="", metavar="NAME", help="of a workbook")
    add("--missing", default="", metavar="WORDS", help="words or numbers that mean none, separated by commas")


def options(arguments: argparse.Namespace, ignore: Sequence[str] = ()) -> Options:
    from edgeloop.tables import Options

    given: dict[str, Any] = {name: getattr(arguments, name, None) for name in NAMES}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    if "missing" in given:
        given["missing"] = tuple(word.strip() for word in given["missing"].split(",") if word.strip())
    return Options(**given, ignore=tuple(ignore))


def need(paths: Sequence[Path]) -> None:
    """Has the extra that a form of one of the files takes: `tables` or `parquet`. Raises EdgeloopError."""
    from edgeloop.tables.files import COLUMNAR, RECORDERS, WORKBOOKS

    endings = {path.suffix.lower() for path in paths}
    forms = {"tables": (*WORKBOOKS, *RECORDERS), "parquet": COLUMNAR}
    if wanted := [name for name, form in forms.items() if endings.intersection(form)]:
        from edgeloop_tools import extras

        extras.need(*wanted)


def _truth(text: str) -> bool:
    if text.lower() in ("true", "yes", "1"):
        return True
    if text.lower() in ("false", "no", "0"):
        return False
    raise argparse.ArgumentTypeError("true or false")
