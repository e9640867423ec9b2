"""How a text file is laid out: encoding, separator, what stands above the rows, the names of its columns."""

from __future__ import annotations

import codecs
import csv
import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from edgeloop.component import user
from edgeloop.errors import EdgeloopError
from edgeloop.tables.cells import boolean, is_number
from edgeloop.tables.columns import counts_rows, is_named
from edgeloop.tables.dress import dress
from edgeloop.tables.numerals import MISSING
from edgeloop.tables.options import Options
from edgeloop.tables.shapes import DAYS, Kind, layout

SEPARATORS = ";\t,|"
HEAD = 1 << 17
"""Bytes looked at."""
LINES = 2000
_SEP = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]")


@dataclass(slots=True)
class Layout:
    """first: the line (from 1) of the first row. names: as the file has them. above: rows between header and rows,
    of units or descriptions. preamble: lines above the header. odd: why the names fit no columns. over: a name that
    has no column."""

    encoding: str
    separator: str
    first: int
    names: list[str]
    headed: bool
    above: list[list[str]] = field(default_factory=list)
    preamble: int = 0
    sample: list[list[str]] = field(default_factory=list)
    odd: str = ""
    over: str = ""


def opened(path: Path) -> IO[bytes]:
    """Raises EdgeloopError where it cannot be read."""
    try:
        file = path.open("rb")
        if file.read(2) == b"\x1f\x8b":
            file.close()
            return cast(IO[bytes], gzip.open(path, "rb"))
        file.seek(0)
        return file
    except OSError as error:
        mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or "", mend=mend) from None


def look(path: Path, options: Options) -> Layout:
    """Raises EdgeloopError where it is no table."""
    with opened(path) as file:
        try:
            head = file.read(HEAD)
        except OSError as error:
            raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or "") from None
        whole = len(head) < HEAD
    encoding = encoding_of(head, path)
    lines = head.decode(encoding, "replace").lstrip("\ufeff").splitlines()
    if not whole and len(lines) > 1:
        lines.pop()
    lines = lines[:LINES]
    if not any(line.strip() for line in lines):
        raise _error(path, "the file is empty")
    skip, separators = 0, SEPARATORS
    told = _SEP.fullmatch(lines[0])
    if told:
        skip, separators = 1, told[1]
    if options.skip is not None:
        skip = options.skip
        if skip >= len(lines):
            raise _error(path, f"it has {len(lines)} lines", "give a smaller `skip`")
    best: tuple[float, int, Layout] | None = None
    for separator in separators:
        found = _cut(lines, skip, separator, encoding, given=options.skip is not None)
        if found is not None and (best is None or found[:2] > best[:2]):
            best = found
    if best is None or (best[2].names and len(best[2].names) == 1 and not told):
        for separator in (" ",):
            found = _cut(lines, skip, separator, encoding, given=options.skip is not None)
            if found is not None and len(found[2].names) > 1 and (best is None or found[0] > best[0]):
                best = found
    if best is None:
        rows = sum(bool(line.strip()) for line in lines)
        raise _error(path, "there is no row under the header" if rows < 2 else "no column has numbers")
    if best[2].odd:
        raise _error(path, best[2].odd, "give each column a name, or say `skip`, the lines above the rows")
    return best[2]


def _placed(names: list[str], body: list[list[str]]) -> tuple[list[str], str]:
    """Of a header that has a name less than there are columns, whose last is empty: where it lacks, or why not."""
    names, width = names[:-1], len(names)
    cells = [[row[i] for row in body[:200]] for i in range(width)]
    for i in range(width - 1):
        split = _are(cells[i], Kind.DAY) and _are(cells[i + 1], Kind.CLOCK)
        weekday = cells[i] and all(cell.lower().rstrip(".") in DAYS for cell in cells[i])
        if split or (weekday and all(map(is_time, cells[i + 1]))):
            return [*names[: i + 1], "", *names[i + 1 :]], ""
    if counts_rows(cells[0]):
        return ["", *names], ""
    return [*names, ""], f"its header has {width - 1} names for {width} columns"


def _are(cells: list[str], kind: Kind) -> bool:
    return bool(cells) and all(layout(_DIGITS.sub("0", cell).encode()).kind == kind for cell in cells)


def _cut(
    lines: list[str], skip: int, separator: str, encoding: str, *, given: bool
) -> tuple[float, int, Layout] | None:
    """How well a separator fits, and what comes of it."""
    rows = _rows(lines, skip, separator)
    if not rows:
        return None
    later = rows[len(rows) // 3 :]
    counts = [len(cells) for _, cells in later]
    usual = max(set(counts), key=lambda k: (counts.count(k), k))
    body = [cells for _, cells in later if len(cells) == usual]
    kinds = [kind_of([cells[i] for cells in body[:200]]) for i in range(usual)]
    if not any(kind in "nt" for kind in kinds):
        return None
    start = next((at for at, (_, cells) in enumerate(rows) if len(cells) == usual and fits(cells, kinds)), None)
    if start is None:
        return None
    while (
        start + 1 < len(rows)
        and (len(rows[start + 1][1]) != usual or not fits(rows[start + 1][1], kinds))
        and (
            sum(len(c) == usual and fits(c, kinds) for _, c in rows[start + 1 : start + 6]) <= 1
            and len(rows) > start + 6
        )
    ):
        start = next(
            (at for at in range(start + 1, len(rows)) if len(rows[at][1]) == usual and fits(rows[at][1], kinds)), start
        )
    top = start
    while top > 0 and abs(len(rows[top - 1][1]) - usual) <= 1 and _heading(rows[top - 1][1], usual):
        top -= 1
    if given:
        top = 0
    heads = [_fitted(cells, usual) for _, cells in rows[top:start]]
    if not given and heads:
        first = header_of(heads, [len(cells) for _, cells in rows[top:start]], kinds)
        top, heads = top + first, heads[first:]
    names = heads[0] if heads else [f"c{i}" for i in range(usual)]
    odd = ""
    if heads and len(rows[top][1]) == usual - 1 and any(cells[-1] for cells in body[:200]):
        names, odd = _placed(names, body)
    over = rows[top][1][usual] if heads and len(rows[top][1]) > usual else ""
    fitting = sum(_share(cells) for cells in body[:200]) / len(body[:200]) if body else 0.0
    same = counts.count(usual) / len(counts)
    preamble = rows[top][0] - 1 if heads else 0
    found = Layout(encoding, separator, rows[start][0], names, bool(heads), heads[1:], preamble, odd=odd, over=over)
    found.sample = [cells for _, cells in rows[start:] if len(cells) == usual]
    return round(fitting * same * (1.0 if heads else 0.4), 2), usual, found


def _rows(lines: list[str], skip: int, separator: str) -> list[tuple[int, list[str]]]:
    """Rows with the line they begin at; without empty ones."""
    reader = csv.reader(lines[skip:], delimiter=separator, skipinitialspace=separator == " ")
    found: list[tuple[int, list[str]]] = []
    try:
        before = 0
        for cells in reader:
            line, before = before + 1 + skip, reader.line_num
            cells = [cell.strip() for cell in cells]
            if any(cells) and not (separator != "," and len(cells) == 1 and cells[0].startswith("#")):
                found.append((line, cells))
    except csv.Error:
        pass
    return found


def kind_of(cells: list[str]) -> str:
    """t: times, n: numbers, m: missing, x: others."""
    present = [cell for cell in cells if cell.lower() not in MISSING]
    if not present:
        return "m"
    if sum(is_time(cell) for cell in present) * 2 > len(present):
        return "t"
    if any(is_number(cell) or boolean(cell) is not None for cell in present):
        return "n"
    return "n" if dress(present) is not None else "x"


def is_time(cell: str) -> bool:
    """A date, a time of day, or both; no number.

    >>> [is_time(t) for t in ("2024-01-01", "10:00", "12.5")]
    [True, True, False]
    """
    return layout(_DIGITS.sub("0", cell).encode()).kind in (Kind.MOMENT, Kind.DAY, Kind.CLOCK)


def fits(cells: list[str], kinds: list[str]) -> bool:
    """Whether it is a row of data."""
    hits = misses = 0
    for cell, kind in zip(cells, kinds, strict=True):
        if kind == "t":
            if not is_time(cell) and cell.lower() not in MISSING:
                return False
            hits += bool(cell)
        elif kind == "n" and cell.lower() not in MISSING:
            good = is_number(cell) or boolean(cell) is not None or dress([cell]) is not None
            hits, misses = hits + good, misses + (not good)
    return hits > 0 and hits >= misses


def _heading(cells: list[str], usual: int) -> bool:
    """Whether it can be one of the rows above the data."""
    filled = [cell for cell in cells if cell]
    return len(filled) * 2 >= usual and (usual > 1 or bool(filled))


def header_of(heads: list[list[str]], widths: list[int], kinds: list[str]) -> int:
    """Which of the rows above the data has the names: one that calls a time so where the times are, else the first
    that has another for each column and holds no number, else the first."""
    timed = [
        i for i, cells in enumerate(heads)
        if any(is_named(cell) and (kind == "t" or "t" not in kinds) for cell, kind in zip(cells, kinds, strict=True))
        and not any(map(is_time, cells))
    ]  # fmt: skip
    apart = [i for i in timed if _differ(heads[i])]
    whole = [
        i for i, cells in enumerate(heads)
        if widths[i] == len(kinds) and all(cells) and _differ(cells)
        and not any(is_time(cell) or is_number(cell) for cell in cells)
    ]  # fmt: skip
    return (apart or whole or timed or [0])[0]


def _differ(cells: list[str]) -> bool:
    filled = [cell.lower() for cell in cells if cell]
    return len(set(filled)) == len(filled) > 0


def _fitted(cells: list[str], usual: int) -> list[str]:
    cells = [cells[0].lstrip("#").strip(), *cells[1:]]
    return (cells + [""] * usual)[:usual]


def _share(cells: list[str]) -> float:
    """Of cells that are numbers, times or missing."""
    good = sum(
        cell.lower() in MISSING
        or is_number(cell)
        or is_time(cell)
        or boolean(cell) is not None
        or dress([cell]) is not None
        for cell in cells
    )
    return good / len(cells)


def encoding_of(head: bytes, path: Path) -> str:
    """By its mark, by zeros, else UTF-8 where it is valid and Windows' western one where not."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if head.startswith(mark):
            return name
    sample = head[:4096]
    if sample[1::2].count(0) > len(sample) // 4:
        return "utf-16-le"
    if sample[::2].count(0) > len(sample) // 4:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return western(head)
    return "utf-8"


def western(head: bytes) -> str:
    """Windows' western encoding, or its Cyrillic one, where words are wholly of its letters; else what reads any bytes
    and is told."""
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return "latin-1"
    high = list(re.findall(rb"[\x80-\xff]+", head))
    words = [run for run in high if len(run) >= 3]
    if 2 * sum(map(len, words)) <= sum(map(len, high)):
        return "cp1252"
    letters = all(byte >= 0xC0 or byte in (0xA8, 0xB8, 0xB9, 0xB0) for run in high for byte in run)
    return "cp1251" if letters else "latin-1"


def _error(path: Path, why: str, mend: str = "give a table with a header and numbers") -> EdgeloopError:
    return EdgeloopError("cannot use the file", where=str(path), why=why, mend=mend)
