"""A CSV file as rows of numbers, however it is written."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgeloop.component import user
from edgeloop.errors import EdgeloopError
from edgeloop.tables import times
from edgeloop.tables.times import Parse

SEPARATORS = ";\t,|"
LOOK = 50
"""Lines looked at to find out how the file is written."""
MISSING = frozenset({"", "na", "nan", "null", "none", "-", "n/a", "?"})
TIMES = ("time", "timestamp", "datetime", "date", "date_time", "ts", "t")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is skipped. line: 1 is the first of the file."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Row:
    """line: 1 is the first of the file. time: ns UTC, None without a time column."""

    line: int
    time: int | None
    values: list[float]


class Table:
    """A CSV file with its separator sniffed, its header, its time column and its numeric columns.

    time: name of the time column; empty: found by its name and looks. form: as strptime has it.
    ignore: columns left out, such as labels. first: the first column is the time, whatever it is called.
    Raises EdgeloopError where the file cannot be read or has no numbers.
    """

    def __init__(
        self, path: Path, *, time: str = "", ignore: Collection[str] = (), form: str = "", first: bool = False
    ) -> None:
        self.path = path
        self._first = first
        try:
            self._file: IO[str] = path.open(encoding="utf-8-sig", errors="replace", newline="")
        except OSError as error:
            mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
            raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or "", mend=mend) from None
        try:
            self._understand(time, ignore, form)
        except BaseException:
            self._file.close()
            raise

    def _understand(self, time: str, ignore: Collection[str], form: str) -> None:
        lines = [line for line in (self._file.readline() for _ in range(LOOK)) if line.strip()]
        if not lines:
            raise self._error("the file is empty")
        self.separator = _sniff(lines)
        self._comma = self.separator != ","
        sample = list(csv.reader(lines, delimiter=self.separator))
        headed = not all(self._numeric(c) or times.recognise([c.strip()]) for c in sample[0])
        names = [c.strip() for c in sample[0]] if headed else [f"c{i}" for i in range(len(sample[0]))]
        body = [[c.strip() for c in row] for row in sample[headed:] if len(row) == len(names)]
        if not body:
            raise self._error("there is no row under the header")
        self._columns = len(names)
        self._headed = headed
        self._time, self._parse = self._time_column(names, body, time, form)
        unknown = [c for c in ignore if c not in names]
        if unknown and headed:
            self.unknown = tuple(unknown)
        else:
            self.unknown = ()
        kept: list[int] = []
        text: list[int] = []
        for i, name in enumerate(names):
            if i != self._time and name not in ignore:
                (kept if any(self._number(row[i]) is not None for row in body) else text).append(i)
        if not kept:
            raise self._error("no column has numbers")
        self._kept = kept
        self.channels = tuple(names[i] or f"c{i}" for i in kept)
        self.text = tuple(names[i] for i in text)
        if len(set(self.channels)) < len(self.channels):
            raise self._error("two columns have the same name")
        self._file.seek(0)

    def _time_column(self, names: list[str], body: list[list[str]], time: str, form: str) -> tuple[int | None, Parse]:
        if self._first and not time:
            parse = times.recognise(_present([row[0] for row in body]), certain=True)
            if parse is None:
                raise self._error(f"the first column ({names[0]}) is no time", "put the time first")
            return 0, parse
        if time:
            if time not in names:
                raise self._error(f"there is no column {time!r}", f"the columns are {', '.join(names)}")
            column = names.index(time)
            values = [row[column] for row in body]
            found = times.written(form) if form else times.recognise(_present(values), certain=True)
            if found is None:
                raise self._error(
                    f"the time {values[0]!r} is not understood", "give its `form`, such as %d.%m.%Y %H:%M:%S"
                )
            return column, found
        order = sorted(range(len(names)), key=lambda i: names[i].lower() not in TIMES)
        for column in order:
            named = names[column].lower() in TIMES
            parse = times.recognise(_present([row[column] for row in body]), certain=named)
            if parse is not None and (named or parse is not times.epoch):
                return column, parse
        return None, times.iso

    @property
    def has_time(self) -> bool:
        return self._time is not None

    def rows(self) -> Iterator[Row | BadRow]:
        """From the first row on. Raises EdgeloopError where reading fails."""
        self._file.seek(0)
        reader = csv.reader(self._file, delimiter=self.separator)
        try:
            if self._headed:
                next((row for row in reader if any(c.strip() for c in row)), None)
            for cells in reader:
                if any(c.strip() for c in cells):
                    yield self._row(reader.line_num, cells)
        except (OSError, csv.Error) as error:
            raise self._error(str(error), "repair the file", line=reader.line_num) from None

    def _row(self, line: int, cells: list[str]) -> Row | BadRow:
        if len(cells) != self._columns:
            return BadRow(line, f"{len(cells)} cells, {self._columns} expected")
        values = []
        for i in self._kept:
            value = self._number(cells[i])
            if value is None:
                if cells[i].strip().lower() not in MISSING:
                    return BadRow(line, f"{cells[i][:40]!r} is no number")
                value = float("nan")
            values.append(value)
        if self._time is None:
            return Row(line, None, values)
        try:
            return Row(line, self._parse(cells[self._time].strip()), values)
        except (ValueError, OverflowError):
            return BadRow(line, f"{cells[self._time][:40]!r} is no time")

    def _number(self, cell: str) -> float | None:
        try:
            return float(cell)
        except ValueError:
            if self._comma and cell.count(",") == 1:
                try:
                    return float(cell.replace(",", "."))
                except ValueError:
                    return None
            return None

    def _numeric(self, cell: str) -> bool:
        return self._number(cell) is not None or cell.strip().lower() in MISSING

    def _error(self, why: str, mend: str = "give a CSV file with a header and numbers", line: int = 0) -> EdgeloopError:
        where = f"{self.path} line {line}" if line else str(self.path)
        return EdgeloopError("cannot use the file", where=where, why=why, mend=mend)

    def close(self) -> None:
        self._file.close()


def _sniff(lines: list[str]) -> str:
    """The separator that cuts the most lines into the same number of cells, more cells being better."""

    def score(separator: str) -> tuple[float, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=separator)]
        usual = max(set(counts), key=counts.count)
        return (counts.count(usual) / len(counts) if usual > 1 else 0.0, usual)

    best = max(SEPARATORS, key=score)
    return best if score(best)[0] else ","


def _present(values: list[str]) -> list[str]:
    """Without what is missing."""
    return [v for v in values if v.lower() not in MISSING]
