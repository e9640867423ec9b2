"""Long tables: a row for each tag and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.tables.chunk import Columns, Stamps
from edgeloop.tables.moments import Ambiguous
from edgeloop.wire.batch import Channel

if TYPE_CHECKING:
    from edgeloop.tables.table import Block, Table

MOST = 2000
GOOD = frozenset({"good", "ok", "valid", "gut", "bon", "192", "true", "normal", "good, non-specific"})
QUALITIES = frozenset({"quality", "status", "qualität", "qualitaet", "q", "qual", "qualité", "calidad", "statuscode"})


@dataclass(slots=True, eq=False)
class Long:
    channels: tuple[Channel, ...]
    block: Block


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
    matrix[place[there], columns[there]] = number[there]
    lines = np.zeros(len(stamps), np.int64)
    lines[place] = line
    table._said = (*table._said, f"a row for each of {len(names)} tags, {len(stamps):,} times") + (
        (f"{doubtful:,} values of no good quality are missing",) if doubtful else ()
    )
    table._sequence.words = ()
    return Long(tuple(Channel(name) for name in names), Block(stamps, matrix, lines, tuple(bad)))


def _texts(column: Columns) -> list[str]:
    if isinstance(column, Stamps):
        return [str(v) for v in column.times.tolist()]
    if isinstance(column, np.ndarray):
        return [f"{v:g}" for v in column.tolist()]
    return column.texts(slice(None))
