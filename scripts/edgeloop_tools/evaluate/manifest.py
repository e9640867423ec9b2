"""What is evaluated: sets of recordings, by name."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edgeloop.clock import NS
from edgeloop.config.quantities import Budget
from edgeloop.errors import EdgeloopError
from edgeloop_tools.evaluate.generators import GENERATORS

AUTO = "auto"
_VARIABLE = re.compile(r"\$\{([A-Z_]+)\}")


class Set(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """files: a glob below `data`; or generate: a generator's name (`generators`), with so many seeds of so many rows.
    learn: rows, or "name": the number that ends a file's name, or "auto": as long as the monitor takes, and the first
    15 % of the rows, 750 at most, do not count. label: column of the truth; windows: or a JSON file below `data` with
    the spans that are not normal, by the end of a file's path: {"a/b.csv": [["2014-04-10 16:15:00",
    "2014-04-12 01:45:00"]]}, both included; ignore: columns left out.
    healthy: rows that count as healthy: those without a label ("unlabelled"), or those before the first one
    ("before"). quiet: globs of files in which nothing is to be found whatever their labels say. goals: by figure, such
    as {f1: ">= 0.85", budgets: "<= 1.5"}.
    """

    files: str = ""
    generate: str = ""
    seeds: Annotated[int, Meta(ge=1, le=1000)] = 10
    rows: Annotated[int, Meta(ge=100, le=10_000_000)] = 40_000
    learn: int | str = 400
    label: str = ""
    windows: str = ""
    ignore: tuple[str, ...] = ()
    healthy: str = "before"
    quiet: tuple[str, ...] = ()
    budget: Budget = Budget("1 alarm/week")
    goals: dict[str, str] = {}


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """data: the folder, in which ${VARIABLES} of the environment stand for themselves; empty: beside the manifest."""

    sets: dict[str, Set]
    data: str = ""


def read(path: Path) -> tuple[Manifest, Path]:
    """The manifest and its folder of data. Raises EdgeloopError."""
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=Manifest, dec_hook=_quantity)
    except OSError as error:
        raise EdgeloopError("cannot read the manifest", where=str(path), why=error.strerror or str(error)) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise EdgeloopError("not a manifest", where=str(path), why=str(error)) from None
    for name, each in found.sets.items():
        for goal, text in each.goals.items():
            limit(text, f"sets.{name}.goals.{goal}")
        if bool(each.files) == bool(each.generate):
            raise EdgeloopError("not a manifest", where=f"sets.{name}", why="it needs files or generate, one of them")
        if each.generate and each.generate not in GENERATORS:
            mend = f"there are {', '.join(GENERATORS)}"
            raise EdgeloopError("no such generator", where=f"sets.{name}", why=each.generate, mend=mend)
        if each.healthy not in ("before", "unlabelled"):
            raise EdgeloopError("not a manifest", where=f"sets.{name}.healthy", why=repr(each.healthy))
        if isinstance(each.learn, str) and each.learn not in ("name", AUTO):
            raise EdgeloopError("not a manifest", where=f"sets.{name}.learn", why=repr(each.learn))
    lacking = [name for name in _VARIABLE.findall(found.data) if name not in os.environ]
    if lacking:
        mend = f"set {lacking[0]} to the folder that has the data"
        raise EdgeloopError("no data", where=str(path), why=f"{lacking[0]} is not set", mend=mend)
    data = Path(_VARIABLE.sub(lambda m: os.environ[m[1]], found.data) or ".")
    return found, data if data.is_absolute() else path.parent / data


def learned(each: Set, file: Path) -> int:
    """Rows that are learned of a file.

    >>> learned(Set(files="*.csv", learn="name"), Path("M-1_2209.csv"))
    2209
    """
    if isinstance(each.learn, int):
        return each.learn
    number = re.search(r"(\d+)$", file.stem)
    if number is None:
        raise EdgeloopError("no number ends the name", where=str(file), mend="give `learn` as rows")
    return int(number[1])


def windows(path: Path) -> dict[str, list[tuple[int, int]]]:
    """(first, last), ns UTC, by file. Raises EdgeloopError."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, list[tuple[str, str]]])
        return {name: [(_ns(first), _ns(last)) for first, last in spans] for name, spans in found.items()}
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise EdgeloopError("cannot read the windows", where=str(path), why=str(error)) from None


def named(known: dict[str, list[tuple[int, int]]], name: str) -> list[tuple[int, int]]:
    """
    >>> named({"b.csv": [(1, 2)]}, "a/b.csv"), named({"b.csv": [(1, 2)]}, "ab.csv")
    ([(1, 2)], [])
    """
    return next((spans for end, spans in known.items() if f"/{name}".endswith(f"/{end}")), [])


def _ns(text: str) -> int:
    when = datetime.fromisoformat(text)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * NS)


def limit(text: str, where: str) -> tuple[str, float]:
    """
    >>> limit(">= 0.85", "")
    ('>=', 0.85)
    """
    found = re.fullmatch(r"\s*(<=|>=)\s*([0-9.]+)\s*", text)
    if found is None:
        raise EdgeloopError("no goal", where=where, why=repr(text), mend='such as ">= 0.85" or "<= 1.5"')
    return found[1], float(found[2])


def _quantity(kind: type, value: object) -> object:
    if kind is Budget and isinstance(value, str):
        return Budget(value)
    raise NotImplementedError
