"""CSV and its relatives."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.tables.cells import Arrow, Cells, Listed
from edgeloop.tables.chunk import About, Chunk
from edgeloop.tables.dress import Dress, dress
from edgeloop.tables.layout import is_time, look, opened
from edgeloop.tables.numerals import MISSING
from edgeloop.tables.options import Options
from edgeloop.tables.units import unit_of

ROWS = 8192
BLOCK = 4 << 20
"""Bytes read at once."""
NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "cp1252": "Windows-1252", "cp1251": "Windows-1251",
         "latin-1": "of an unknown encoding (if names look odd, write it as UTF-8)"}  # fmt: skip
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


class TextFile:
    """By pyarrow where it is there, by the standard library else."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        found = look(path, options)
        self._layout = found
        units: dict[str, str] = {}
        notes = []
        if found.encoding not in ("utf-8", "utf-8-sig"):
            notes.append(NAMES.get(found.encoding, found.encoding.upper()))
        if found.separator != ",":
            notes.append(SEPARATORS.get(found.separator, repr(found.separator)))
        if found.over:
            notes.append(f"the header has a name more than the rows have cells ({found.over!r})")
        if found.preamble:
            notes.append(f"header in line {found.preamble + 1}")
        names = unique(found.names, notes)
        for row in found.above:
            units |= {name: cell for name, cell in zip(names, row, strict=False) if unit_of(cell, "") != "1"}
        if found.above:
            notes.append(f"{len(found.above)} row{'s' * (len(found.above) > 1)} of units or words under the header")
        self._dresses: dict[int, Dress] = {}
        for i, cells in enumerate(zip(*found.sample, strict=True)):
            worn = dress(cells)
            if worn is not None and not any(map(is_time, cells[:20])):
                self._dresses[i] = worn
                if worn.unit:
                    units.setdefault(names[i], worn.unit)
        self.about = About(
            names, "x" * len(names), notes, units, separator=found.separator, place="line",
            head=[list(column) for column in zip(*found.sample, strict=True)] or [[] for _ in names],
        )  # fmt: skip

    def chunks(self) -> Iterator[Chunk]:
        plain = self._layout.separator == " " or importlib.util.find_spec("pyarrow") is None
        for chunk in self._listed() if plain else self._arrow():
            columns = list(chunk.columns)
            for i, worn in self._dresses.items():
                cells = cast(Cells, columns[i]).texts(slice(None))
                columns[i] = Listed([worn.off(cell) for cell in cells])
            yield Chunk(chunk.lines, columns, chunk.bad)

    def _arrow(self) -> Iterator[Chunk]:
        from edgeloop import optional

        pa, pc, reader = (
            optional.load(name, "reading tables") for name in ("pyarrow", "pyarrow.compute", "pyarrow.csv")
        )
        found = self._layout
        names = [f"c{i}" for i in range(len(found.names))]
        bad: list[tuple[int, str]] = []

        def odd(row: Any) -> str:
            if row.text.strip(" \t\r\n" + found.separator) and not row.text.startswith("#"):
                bad.append((row.number or 0, f"{row.actual_columns} cells, {row.expected_columns} expected"))
            else:
                bad.append((row.number or 0, ""))
            return "skip"

        encoding = "utf8" if found.encoding.startswith("utf-8") else found.encoding
        with opened(self._path) as file:
            try:
                stream = reader.open_csv(
                    file,
                    read_options=reader.ReadOptions(
                        column_names=names, skip_rows=found.first - 1, block_size=BLOCK, encoding=encoding,
                        use_threads=False,
                    ),
                    parse_options=reader.ParseOptions(
                        delimiter=found.separator, invalid_row_handler=odd, ignore_empty_lines=False
                    ),
                    convert_options=reader.ConvertOptions(
                        column_types={name: pa.string() for name in names}, null_values=_nulls(),
                        strings_can_be_null=True,
                    ),
                )  # fmt: skip
                line, told = found.first, 0
                for batch in stream:
                    fresh = bad[told:]
                    told = len(bad)
                    lines, line = _numbered(line, batch.num_rows, [number for number, _ in fresh])
                    if min(batch.column(i).null_count for i in range(len(names))):
                        lines, batch = _filled(batch, lines, pc)
                    columns = [Arrow(batch.column(i), pc, pa) for i in range(len(names))]
                    yield Chunk(lines, list(columns), tuple((n, why) for n, why in fresh if why))
            except (OSError, pa.ArrowException, UnicodeError) as error:
                nearest = {"cp1252": "latin-1", "latin-1": ""}.get(self._layout.encoding, "cp1252")
                if nearest and ("UTF8" in str(error) or isinstance(error, UnicodeError)):
                    self._layout.encoding = nearest
                    self.about.notes.append(NAMES[nearest])
                    raise Again from None
                raise EdgeloopError(
                    "cannot use the file", where=str(self._path), why=" ".join(str(error).split())[:200],
                    mend="repair the file",
                ) from None  # fmt: skip

    def _listed(self) -> Iterator[Chunk]:
        found = self._layout
        width = len(found.names)
        with opened(self._path) as file:
            text = io.TextIOWrapper(file, encoding=found.encoding, errors="replace", newline="")
            for _ in range(found.first - 1):
                text.readline()
            reader = csv.reader(text, delimiter=found.separator, skipinitialspace=found.separator == " ")
            rows: list[list[str]] = []
            lines: list[int] = []
            bad: list[tuple[int, str]] = []
            start = found.first - 1
            try:
                for cells in reader:
                    if found.separator == " " and len(cells) == width + 1 and not cells[-1]:
                        cells.pop()
                    if len(cells) == width and (width > 1 or cells[0].strip()):
                        rows.append(cells)
                        lines.append(start + reader.line_num)
                    elif any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
                        bad.append((start + reader.line_num, f"{len(cells)} cells, {width} expected"))
                    if len(rows) >= ROWS:
                        yield _chunk(rows, lines, bad, width)
                        rows, lines, bad = [], [], []
            except (OSError, csv.Error) as error:
                raise EdgeloopError(
                    "cannot use the file", where=f"{self._path} line {start + reader.line_num}", why=str(error),
                    mend="repair the file",
                ) from None  # fmt: skip
            if rows or bad:
                yield _chunk(rows, lines, bad, width)

    def close(self) -> None:
        """Nothing is held open."""


class Again(Exception):
    """The file is of another encoding than its beginning: it has to be read anew."""


def _chunk(rows: list[list[str]], lines: list[int], bad: list[tuple[int, str]], width: int) -> Chunk:
    columns = list(zip(*rows, strict=True)) if rows else [()] * width
    return Chunk(np.array(lines, np.int64), [Listed(column) for column in columns], tuple(bad))


def _numbered(line: int, n: int, skipped: list[int]) -> tuple[Any, int]:
    """Lines of n good rows from `line` on, without those that were skipped; and the line after."""
    if not skipped or not all(skipped):
        return np.arange(line, line + n, dtype=np.int64), line + n + len(skipped)
    every = np.arange(line, line + n + len(skipped), dtype=np.int64)
    kept = every[~np.isin(every, skipped)]
    if len(kept) != n:
        return every[:n], line + n + len(skipped)
    return kept, line + n + len(skipped)


def _filled(batch: Any, lines: Any, pc: Any) -> tuple[Any, Any]:
    """Without lines that are empty."""
    empty = batch.column(0).is_null()
    for i in range(1, batch.num_columns):
        empty = pc.and_(empty, batch.column(i).is_null())
    kept = pc.invert(empty)
    return lines[kept.to_numpy(zero_copy_only=False).astype(bool)], batch.filter(kept)


def _nulls() -> list[str]:
    return sorted(
        {form for word in MISSING for form in (word, word.upper(), word.title(), word.capitalize())} | {"NaN"}
    )


def unique(names: list[str], notes: list[str]) -> list[str]:
    """Names that differ; those without one are called c0, c1 …

    >>> notes = []
    >>> unique(["a", "", "a"], notes), notes
    (['a', 'c1', 'a_2'], ["a second 'a' is called 'a_2'"])
    """
    found: list[str] = []
    for i, name in enumerate(names):
        name = name or f"c{i}"
        fresh, number = name, 2
        while fresh in found or (fresh != name and fresh in names):
            fresh, number = f"{name}_{number}", number + 1
        if fresh != name:
            notes.append(f"a second {name!r} is called {fresh!r}")
        found.append(fresh)
    return found
