"""Long tables: a row for each tag and time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeloop.errors import EdgeloopError
from edgeloop.tables.chunk import Columns, Stamps
from edgeloop.tables.moments import Ambiguous
from edgeloop.wire.batch import Channel

if TYPE_CHECKING:
    from edgeloop.tables.table import Block, Table

MOST = 2000
LOOK = 2000
"""Rows that are looked at for tags."""
_TAGS = re.compile(
    r"(?:(?:tag|point|sensor|signal|var(?:iable)?|channel|parameter|item|metric|measure(?:ment)?|device|asset|machine|"
    r"register|node|attribute|property|quantity|kanal|messstelle|messwert|objekt|bezeichnung|capteur)[ _-]?"
    r"(?:name|id|nr|no|path|key)?|.*name|field|_field|metric|tagname|id|name)", re.IGNORECASE,
)  # fmt: skip
_VALUES = re.compile(
    r"_?(?:.*value|.*wert|val|valeur|valor|v|reading|measurement|data|avg|mean)(?:\W.*)?", re.IGNORECASE
)
GOOD = frozenset({"good", "ok", "valid", "gut", "bon", "192", "true", "normal", "good, non-specific"})
UNITS = frozenset({"unit", "units", "uom", "einheit", "unité", "unite", "unidad", "unità", "eenheid", "engunits"})
QUALITIES = frozenset({"quality", "status", "qualität", "qualitaet", "q", "qual", "qualité", "calidad", "statuscode"})


@dataclass(slots=True, eq=False)
class Long:
    channels: tuple[Channel, ...]
    block: Block


def tagged(
    names: Sequence[str], wanted: Sequence[int], numbers: Sequence[int], first: Mapping[int, list[str]],
    times: NDArray[np.int64],
) -> tuple[int, int] | None:  # fmt: skip
    """Columns of tags and of values, where a table has a row for each tag: times come again, each tag once at each; or
    a column is called so, and another as its values are."""
    rows = len(times)
    distinct = len(np.unique(times))
    for i in sorted(wanted, key=lambda i: not _TAGS.fullmatch(names[i])):
        cells = first.get(i, [])[:rows]
        values = [k for k in numbers if k != i and names[k].lower() not in QUALITIES]
        if len(cells) < rows or not values:
            continue
        tags = {cell for cell in cells if cell}
        if not 1 < len(tags) <= max(2, rows // 3) or sum(bool(cell) for cell in cells) < 0.9 * rows:
            continue
        called = _TAGS.fullmatch(names[i]) is not None
        if i in numbers and not (called and all(cell.isdigit() for cell in tags)):
            continue
        named = [k for k in values if _VALUES.fullmatch(names[k])]
        pairs = len(set(zip(times.tolist(), cells, strict=False)))
        again = distinct < 0.9 * rows and pairs >= 0.98 * rows
        apart = called and bool(named) and i not in numbers
        if again or apart:
            return i, (named or values)[0]
    return None


def pivot(table: Table, by: int) -> Long:
    """One row for each time, one channel for each tag. Raises EdgeloopError."""
    from edgeloop.tables.table import Block

    where = str(table.path)
    if len(table._kept) > 1:
        numbers = [i for i in table._kept if table._names[i].lower() not in QUALITIES]
        named = [i for i in numbers if table._names[i].lower() in ("value", "wert", "valeur", "valor", "val")]
        if len(numbers) > 1 and not named:
            raise Ambiguous("which column has the values", where=where, why=", ".join(table._names[i] for i in numbers),
                            mend="say `value: …`")  # fmt: skip
        table._kept = (named or numbers)[:1]
    if not table.has_time:
        raise EdgeloopError("a long table needs times", where=where, mend="name their column in `time`")
    quality = next((i for i, name in enumerate(table._names) if name.lower() in QUALITIES and i != by), None)
    times, values, rows, tags, doubtful = [], [], [], [], 0
    at = 0
    bad: list[tuple[int, str]] = []
    for (chunk, _), block in zip(table._again(), table._parts(), strict=True):
        good = table._good[at : at + len(chunk)]
        at += len(chunk)
        tags.append(np.array(_texts(chunk.columns[by]), dtype=str)[good])
        assert block.times is not None
        found = block.values[:, 0]
        if quality is not None:
            texts = _texts(chunk.columns[quality])
            wrong = np.array([t.strip().lower() not in GOOD for t in texts], bool)[good]
            doubtful += int((wrong & np.isfinite(found)).sum())
            found = np.where(wrong, np.nan, found)
        times.append(block.times)
        values.append(found)
        rows.append(block.rows)
        bad += block.bad
    when, number, line, tag = (np.concatenate(part) for part in (times, values, rows, tags))
    if quality is not None and doubtful == int(np.isfinite(np.concatenate(values)).sum() + doubtful):
        raise Ambiguous("no value is good", where=where, why=f"the column {table._names[quality]!r}",
                        mend=f"say `ignore: {table._names[quality]}` if it is no quality")  # fmt: skip
    distinct, first = np.unique(tag, return_index=True)
    order = np.argsort(first)
    names = [str(name) for name in distinct[order] if name]
    if not 0 < len(names) <= MOST:
        raise EdgeloopError(
            "cannot use the file", where=where, why=f"{len(names)} tags", mend="is `by` another column?"
        )
    stamps, place = np.unique(when, return_inverse=True)
    matrix = np.full((len(stamps), len(names)), np.nan)
    column_of = {name: i for i, name in enumerate(names)}
    columns = np.array([column_of.get(str(name), -1) for name in tag])
    there = columns >= 0
    again = int(there.sum()) - len(np.unique(place[there] * len(names) + columns[there]))
    matrix[place[there], columns[there]] = number[there]
    lines = np.zeros(len(stamps), np.int64)
    lines[place] = line
    table._said = (
        (*table._said, f"a row for each of {len(names)} tags, {len(stamps):,} times")
        + ((f"{doubtful:,} values of no good quality are missing",) if doubtful else ())
        + ((f"{again:,} times a tag has two values at one time: the later row counts",) if again else ())
    )
    table._sequence.words = ()
    units = _units(table, by, names)
    channels = tuple(Channel(name, units.get(name, "1")) for name in names)
    return Long(channels, Block(stamps, matrix, lines, tuple(bad)))


def _units(table: Table, by: int, names: Sequence[str]) -> dict[str, str]:
    """Of tags, where a column says one for each."""
    from edgeloop.tables.units import unit_of

    at = next((i for i, name in enumerate(table._names) if name.lower() in UNITS), None)
    head = table._file.about.head
    if at is None or not head[at] or not head[by]:
        return {}
    found: dict[str, set[str]] = {}
    for tag, unit in zip(head[by], head[at], strict=False):
        found.setdefault(tag.strip(), set()).add(unit.strip())
    return {tag: unit_of(next(iter(units)), tag) for tag, units in found.items() if len(units) == 1 and tag in names}


def _texts(column: Columns) -> list[str]:
    if isinstance(column, Stamps):
        return [str(v) for v in column.times.tolist()]
    if isinstance(column, np.ndarray):
        return [f"{v:g}" for v in column.tolist()]
    return column.texts(slice(None))
