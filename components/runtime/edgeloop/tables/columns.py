"""Which column is what: times, tags, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.tables import times
from edgeloop.tables.chunk import About
from edgeloop.tables.moments import Ambiguous
from edgeloop.tables.numerals import MISSING
from edgeloop.tables.options import FORMS, Options
from edgeloop.tables.shapes import Kind, cut

_NAMED = re.compile(
    r"\W*(date[ _-]?time|time[ _-]?stamp|t_?stamp|date|time|datum|zeit(?:stempel|punkt)?|uhrzeit|ts|t|horodat\w*|heure|"
    r"fecha|hora|data|ora|tijd|tid|epoch|unix\w*|temps|messzeit|datetime\w*|utc|x[_ ]value|время|дата|"
    r"(time(?:stamp)?|ts|t|epoch)[ _-]?(utc|local|s|sec|ms|us|ns|min|h)|(elapsed|rel(?:ative)?|run)\W*(?:time)?\w*)"
    r"\s*(\[[^]]*\]|\([^)]*\)|/.*)?\W*", re.IGNORECASE,
)  # fmt: skip
_PARTS = {
    "year": "year jahr année ano año yr yyyy", "month": "month monat mois mes mo", "day": "day tag jour día dia",
    "hour": "hour stunde heure hora hr", "minute": "minute min mn", "second": "second sec sekunde ss",
}  # fmt: skip
_LETTERS = (("YY", "MM", "DD", "hh", "mm", "ss"), ("YYYY", "MM", "DD", "hh", "mm", "ss"),
            ("YYYY", "MM", "DD", "HH", "MI", "SS"), ("YR", "MO", "DY", "HR", "MN", "SC"))  # fmt: skip
_UNIT = re.compile(
    r"(?:.*[\[(/]\s*|.*[ _-])(s|secs?|seconds?|ms|msec|us|µs|μs|usec|ns|min|minutes?|h|hrs?|hours?|d|days?)\s*[\])]?"
)
_UNITS = {"ms": "ms", "msec": "ms", "us": "us", "µs": "us", "μs": "us", "usec": "us", "ns": "ns",
          "m": "min", "h": "h", "d": "d"}  # fmt: skip
_CLOCKS = re.compile(r"(.*[ _])?(time|zeit|uhrzeit|hora|heure|ora|tijd|tid|clock|hhmm(ss)?|hms|tod)", re.IGNORECASE)
_MILLIS = re.compile(r"(.*[ _.])?(ms|msecs?|millis|millisec\w*|millisekunden?|millitm)", re.IGNORECASE)
_ROWS = re.compile(
    r"c0|unnamed: 0|index|id|nos?\.?|nr\.?|#|rows?|record|recno|rec|sample|lfd\.? ?nr\.?|number|line", re.IGNORECASE
)
_HALF = re.compile(r"[ap]\.?\s?m\.?", re.IGNORECASE)


def is_named(name: str) -> bool:
    """
    >>> is_named("Time [s]"), is_named("Zeitstempel"), is_named("temp"), is_named("Time (UTC)")
    (True, True, False, True)
    """
    return _NAMED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the time is: columns, and what stands between them when they are joined: a sign, and how many digits the
    next has at least. stamps: the file itself has them as times. unit: of numbers, as the name says."""

    columns: tuple[int, ...]
    stamps: bool = False
    marks: tuple[tuple[str, int], ...] = ()
    unit: str = ""

    def words(self, names: Sequence[str]) -> str:
        return " + ".join(repr(names[i]) for i in self.columns)


def place(about: About, options: Options, where: str) -> Place | None:
    """Raises EdgeloopError where a column that was named is not there, or the first is no time."""
    names = about.names
    if options.time:
        columns = tuple(_named(name, names, where) for name in options.times)
        marks = tuple(_mark(about, i) for i in columns[1:])
        return Place(
            columns, len(columns) == 1 and about.kinds[columns[0]] == "t", marks, unit_of_time(names[columns[0]])
        )
    kinds = [_kind(about, i, options) for i in range(len(names))]
    found = _found(about, kinds, options)
    if found is None and sum(cut(np.array([name.encode()[:80] for name in names])).kind % Kind.NUMBER == 1) > 2:
        raise Ambiguous("the times stand in the header, a column each", where=where, why=repr(names[-1]),
                        mend="turn the table: a row for each time; or say `skip`")  # fmt: skip
    if found is None and not options.paced:
        _refuse_unread(about, kinds, options, where)
    if options.first and (found is None or (0 not in found.columns and not _index(about, kinds))):
        if kinds and kinds[0] == Kind.NUMBER and not (found and _sure(found, names, kinds)):
            return Place((0,), unit=unit_of_time(names[0]))
        if found is None:
            raise EdgeloopError("cannot use the file", where=where, why=f"the first column ({names[0]}) is no time",
                                mend="put the time first, or name its column in `time`")  # fmt: skip
    if found is not None and not found.stamps:
        _refuse_pairs(about, kinds, found, options, where)
        found = _extended(about, kinds, found)
    return found


def unit_of_time(name: str) -> str:
    """
    >>> unit_of_time("Time (ms)"), unit_of_time("elapsed [min]"), unit_of_time("time_s"), unit_of_time("ts")
    ('ms', 'min', 's', '')
    """
    match = _UNIT.fullmatch(name.strip().lower())
    return "" if match is None else _UNITS.get(match[1]) or _UNITS.get(match[1][:1], "s")


def counts(about: About) -> list[int]:
    """Columns that number the rows, and are called so."""
    return [i for i, name in enumerate(about.names) if _ROWS.fullmatch(name.strip()) and counts_rows(about.head[i])]


def counts_rows(cells: Sequence[str]) -> bool:
    """
    >>> counts_rows(["7", "8", "9"]), counts_rows(["1", "3"]), counts_rows(["a"])
    (True, False, False)
    """
    if len(cells) < 3 or not all(cell.isascii() and cell.isdigit() for cell in cells):
        return False
    return all(int(b) - int(a) == 1 for a, b in pairwise(cells))


def _refuse_pairs(about: About, kinds: list[Kind], place: Place, options: Options, where: str) -> None:
    """Columns that each have a column of times before them."""
    first = place.columns[0]
    for i, name in enumerate(about.names):
        same = name.startswith(f"{about.names[first]}_") and name[len(about.names[first]) + 1 :].isdigit()
        if not same or i in place.columns or kinds[i] != kinds[first] or name in options.ignore:
            continue
        if about.head[i] != about.head[first]:
            why = f"the second {about.names[first]!r} has others"
            raise Ambiguous("columns have times of their own", where=where, why=why,
                            mend=f"give a file for each, or say `ignore: {name}`")  # fmt: skip


def _extended(about: About, kinds: list[Kind], place: Place) -> Place:
    """With the columns of milliseconds and of a.m. and p.m., where these have columns of their own."""
    first, last = about.head[place.columns[0]], about.head[place.columns[-1]]
    if len(place.columns) == 1 and not any(map(_dated, first[:20])):
        return place
    if kinds[place.columns[-1]] not in (Kind.MOMENT, Kind.CLOCK, Kind.NUMBER):
        return place
    columns, marks = list(place.columns), list(place.marks)
    for i, name in enumerate(about.names):
        cells = [cell for cell in about.head[i] if cell]
        if i in columns or not cells:
            continue
        millis = _MILLIS.fullmatch(name) and all(c.isdigit() and len(c) < 4 for c in cells)
        if millis and not any("." in cell or "," in cell for cell in last[:50]):
            columns.append(i)
            marks.append((".", 3))
    for i in range(len(about.names)):
        cells = [cell for cell in about.head[i] if cell]
        if i not in columns and cells and all(_HALF.fullmatch(cell) for cell in cells):
            columns.append(i)
            marks.append((" ", 0))
    return Place(tuple(columns), False, tuple(marks), place.unit)


def _dated(cell: str) -> bool:
    return not cell.isdigit() and any(mark in cell for mark in "-/.: ")


def _mark(about: About, column: int) -> tuple[str, int]:
    """What stands before a column that is joined to the one before it."""
    cells = [cell for cell in about.head[column] if cell]
    if cells and all(cell.isdigit() for cell in cells):
        if _MILLIS.fullmatch(about.names[column]):
            return ".", 3
        return " ", _clock_width(cells)
    return " ", 0


def _clock_width(cells: Sequence[str]) -> int:
    """Digits of a time of day that is written as one number, 0 where it is none or may be two."""
    values = [int(cell) for cell in cells if cell.isascii() and cell.isdigit() and len(cell) < 7]
    if len(values) < len(cells) or not values:
        return 0
    width = max(map(len, cells))
    if width <= 4 and all(v < 2400 and v % 100 < 60 for v in values):
        return 4 if width == 4 else 0
    good = all(v < 240_000 and v % 100 < 60 and v // 100 % 100 < 60 for v in values)
    return 6 if good and width >= 5 else 0


def _refuse_unread(about: About, kinds: list[Kind], options: Options, where: str) -> None:
    """A column that is called as times are, and holds texts with digits that are none that is known."""
    for i, name in enumerate(about.names):
        if kinds[i] != Kind.NONE or name in options.ignore or not is_named(name) or about.kinds[i] != "x":
            continue
        present = [cell for cell in about.head[i][:500] if cell.lower() not in MISSING]
        if present and 2 * sum(sum(c.isdigit() for c in cell) > 2 for cell in present) > len(present):
            why = f"{present[0][:40]!r} in {name!r}"
            mend = f"say how it is written, `form`, such as %d.%m.%Y %H:%M:%S %z, or leave it out, `ignore: {name}`"
            raise Ambiguous("the times are of no form that is known", where=where, why=why, mend=mend)


def _sure(place: Place, names: Sequence[str], kinds: list[Kind]) -> bool:
    """Whether a column other than the first is the time beyond doubt: a date, and called so."""
    return kinds[place.columns[0]] in (Kind.MOMENT, Kind.DAY) and is_named(names[place.columns[0]])


def _found(about: About, kinds: list[Kind], options: Options) -> Place | None:
    names = about.names
    stamps = [i for i, kind in enumerate(about.kinds) if kind == "t"]
    if stamps:
        return Place((min(stamps, key=lambda i: (not is_named(names[i]), i)),), stamps=True)

    def of(kind: Kind) -> list[int]:
        return sorted((i for i, k in enumerate(kinds) if k == kind), key=lambda i: (not is_named(names[i]), i))

    whole, days, clocks, numbers = of(Kind.MOMENT), of(Kind.DAY), of(Kind.CLOCK), of(Kind.NUMBER)
    if options.form and options.form not in FORMS:
        fitting = [i for i in range(len(names)) if _written(about.head[i], options.form)]
        return Place((fitting[0],)) if fitting else None
    if whole:
        return Place((whole[0],))
    if days and clocks:
        return Place((days[0], clocks[0]), marks=((" ", 0),))
    parts = _calendar(names)
    if parts:
        marks = (("-", 0), ("-", 0), (" ", 0), (":", 2), (":", 2))
        return Place(parts, marks=marks[: len(parts) - 1])
    if days:
        for i in numbers:
            width = _clock_width([cell for cell in about.head[i] if cell]) if _CLOCKS.fullmatch(names[i]) else 0
            if width:
                return Place((days[0], i), marks=((" ", width),))
    if days and (is_named(names[days[0]]) or len(about.head[days[0]][0]) > 8 or not about.head[days[0]][0].isdigit()):
        return Place((days[0],))
    counted = [i for i in numbers if is_named(names[i])]
    if counted:
        return Place((counted[0],), unit=unit_of_time(names[counted[0]]))
    if options.form and numbers:
        return Place((numbers[0],))
    return Place((clocks[0],)) if clocks else None


def _kind(about: About, column: int, options: Options) -> Kind:
    if about.kinds[column] == "n":
        return Kind.NUMBER
    if about.kinds[column] == "t":
        return Kind.MOMENT
    present = [cell for cell in about.head[column][:500] if cell.lower() not in MISSING]
    if not present:
        return Kind.NONE
    cuts = cut(np.array([cell.encode()[:80] for cell in present], dtype=np.bytes_))
    counts = {kind: int((cuts.kind == kind).sum()) for kind in Kind}
    best = max((kind for kind in Kind if kind != Kind.NONE), key=lambda kind: counts[kind])
    return best if 2 * counts[best] > len(present) else Kind.NONE


def _index(about: About, kinds: list[Kind]) -> bool:
    """Whether the first column only numbers the rows."""
    return kinds[0] == Kind.NUMBER and about.names[0].lower() in (
        "c0",
        "index",
        "id",
        "no",
        "no.",
        "nr",
        "nr.",
        "#",
        "row",
    )


def _written(cells: list[str], form: str) -> bool:
    present = [cell for cell in cells[:50] if cell.lower() not in MISSING]
    parse = times.written(form)
    good = 0
    for cell in present:
        try:
            parse(cell)
            good += 1
        except (ValueError, OverflowError):
            pass
    return bool(present) and 2 * good > len(present)


def _calendar(names: Sequence[str]) -> tuple[int, ...]:
    """Columns of year, month, day and so on, in this order."""
    plain = [name.lstrip("#") for name in names]
    for letters in _LETTERS:
        if all(letter in plain for letter in letters[:4]):
            return tuple(plain.index(letter) for letter in letters if letter in plain)
    lower = [name.lower() for name in names]
    found = []
    for words in _PARTS.values():
        at = next((lower.index(word) for word in words.split() if word in lower), None)
        if at is None:
            break
        found.append(at)
    return tuple(found) if len(found) >= 3 else ()


def _named(name: str, names: Sequence[str], where: str) -> int:
    if name in names:
        return names.index(name)
    lower = [n.lower() for n in names]
    if lower.count(name.lower()) == 1:
        return lower.index(name.lower())
    raise EdgeloopError("cannot use the file", where=where, why=f"there is no column {name!r}",
                        mend=f"the columns are {', '.join(names)[:400]}")  # fmt: skip


named = _named
