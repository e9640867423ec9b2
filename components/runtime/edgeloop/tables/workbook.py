"""Sheets of a workbook (.xlsx)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop.tables.cells import Listed
from edgeloop.tables.chunk import About, Chunk
from edgeloop.tables.layout import fits, header_of, kind_of, opened
from edgeloop.tables.options import Options
from edgeloop.tables.text import ROWS, unique

LOOK = 200


class Workbook:
    """Cells become the texts that a person would have written, so that all else is as in a text file."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        openpyxl = optional.load("openpyxl", "reading workbooks")
        opened(path).close()
        try:
            self._book: Any = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception as error:
            raise self._error(" ".join(str(error).split())[:200], "save it again as .xlsx") from None
        sheets = self._book.sheetnames
        if options.sheet and options.sheet not in sheets:
            raise self._error(f"there is no sheet {options.sheet!r}", f"its sheets are {', '.join(sheets)}")
        full = [name for name in sheets if self._filled(name)]
        if not options.sheet and len(full) > 1:
            raise self._error(f"{len(full)} sheets have rows", f"say `sheet:` {' or '.join(full)}")
        if not full and not options.sheet:
            raise self._error("the file is empty")
        self._sheet = options.sheet or full[0]
        head = [row for _, row in zip(range(LOOK), self._rows(), strict=False)]
        skip = options.skip or 0
        self._first, names, above = _top(head, skip)
        notes = [f"sheet {self._sheet!r}"] if len(sheets) > 1 else []
        self._width = len(names)
        names = unique(names, notes)
        units = {k: v for row in above for k, v in zip(names, row, strict=False)}
        body = [row[: self._width] + [""] * (self._width - len(row)) for row in head[self._first :]]
        columns = [list(c) for c in zip(*body, strict=True)] or [[] for _ in names]
        self.about = About(names, "x" * len(names), notes, units, separator="", head=columns)

    def _filled(self, name: str) -> bool:
        rows = self._book[name].iter_rows(min_row=1, max_row=50, values_only=True)
        return sum(sum(cell is not None for cell in row) > 1 for row in rows) > 1

    def _rows(self) -> Iterator[list[str]]:
        for row in self._book[self._sheet].iter_rows(values_only=True):
            yield [_text(cell) for cell in row]

    def chunks(self) -> Iterator[Chunk]:
        rows: list[list[str]] = []
        lines: list[int] = []
        for line, cells in enumerate(self._rows(), 1):
            if line <= self._first or not any(cells):
                continue
            rows.append((cells + [""] * self._width)[: self._width])
            lines.append(line)
            if len(rows) >= ROWS:
                yield _chunk(rows, lines)
                rows, lines = [], []
        if rows:
            yield _chunk(rows, lines)

    def _error(self, why: str, mend: str = "give a workbook with a table") -> EdgeloopError:
        return EdgeloopError("cannot use the file", where=str(self._path), why=why, mend=mend)

    def close(self) -> None:
        self._book.close()


def _chunk(rows: list[list[str]], lines: list[int]) -> Chunk:
    return Chunk(np.array(lines, np.int64), [Listed(column) for column in zip(*rows, strict=True)])


def _top(head: list[list[str]], skip: int) -> tuple[int, list[str], list[list[str]]]:
    """Index of the first row of data, the names above it, and rows between."""
    width = max((i + 1 for row in head[skip:] for i, c in enumerate(row) if c), default=0)
    padded = [(row + [""] * width)[:width] for row in head]
    body = [row for row in padded[skip:] if any(row)]
    kinds = [kind_of([row[i] for row in body[len(body) // 3 :]]) for i in range(width)]
    start = next((i for i, row in enumerate(padded) if i >= skip and any(row) and fits(row, kinds)), len(head))
    usual = sum(kind != "m" for kind in kinds)
    top = start
    while top > skip and sum(bool(c) for c in padded[top - 1]) * 2 >= usual:
        top -= 1
    rows = padded[top:start]
    if rows and not skip:
        rows = rows[header_of(rows, [width] * len(rows), kinds) :]
    return start, rows[0] if rows else [f"c{i}" for i in range(width)], rows[1:]


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return repr(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        return str(cell.date().isoformat())
    if isinstance(cell, datetime):
        cell = cell + timedelta(microseconds=500)
        return str(cell.replace(microsecond=cell.microsecond // 1000 * 1000).isoformat(" "))
    if isinstance(cell, (date, time)):
        return str(cell.isoformat())
    if isinstance(cell, timedelta):
        return repr(cell.total_seconds())
    return f"{cell}".strip()
