"""Which column is what: times, tags, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop.tables import times
from edgeloop.tables.chunk import About
from edgeloop.tables.moments import Ambiguous
from edgeloop.tables.numerals import MISSING
from edgeloop.tables.options import FORMS, Options
from edgeloop.tables.shapes import Kind, cut

_NAMED = re.compile(
    r"\W*(date[ _-]?time|time[ _-]?stamp|date|time|datum|zeit(?:stempel|punkt)?|uhrzeit|ts|t|horodat\w*|heure|fecha|"
    r"hora|data|ora|tijd|tid|epoch|unix\w*|temps|messzeit|datetime\w*|time[ _-]?(utc|local|s|ms|us|ns)|utc|elapsed\w*)"
    r"\s*(\[[^]]*\]|\([^)]*\)|/.*)?\W*", re.IGNORECASE,
)  # fmt: skip
_PARTS = {
    "year": "year jahr année ano año", "month": "month monat mois mes", "day": "day tag jour día dia",
    "hour": "hour stunde heure hora hr", "minute": "minute min", "second": "second sec sekunde",
}  # fmt: skip


def is_named(name: str) -> bool:
    """
    >>> is_named("Time [s]"), is_named("Zeitstempel"), is_named("temp"), is_named("Time (UTC)")
    (True, True, False, True)
    """
    return _NAMED.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the time is: columns, of a calendar's parts where parts. stamps: the file itself has them as times."""

    columns: tuple[int, ...]
    stamps: bool = False
    parts: bool = False

    def words(self, names: Sequence[str]) -> str:
        return " + ".join(repr(names[i]) for i in self.columns)


def place(about: About, options: Options, where: str) -> Place | None:
    """Raises EdgeloopError where a column that was named is not there, or the first is no time."""
    names = about.names
    if options.time:
        columns = tuple(_named(name, names, where) for name in options.times)
        return Place(columns, stamps=len(columns) == 1 and about.kinds[columns[0]] == "t")
    kinds = [_kind(about, i, options) for i in range(len(names))]
    found = _found(about, kinds, options)
    if found is None and not options.paced:
        _refuse_unread(about, kinds, options, where)
    if options.first and (found is None or (0 not in found.columns and not _index(about, kinds))):
        if kinds and kinds[0] == Kind.NUMBER and not (found and _sure(found, names, kinds)):
            return Place((0,))
        if found is None:
            raise EdgeloopError("cannot use the file", where=where, why=f"the first column ({names[0]}) is no time",
                                mend="put the time first, or name its column in `time`")  # fmt: skip
    return found


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
        return Place((days[0], clocks[0]))
    parts = _calendar(names)
    if parts:
        return Place(parts, parts=True)
    if days and (is_named(names[days[0]]) or len(about.head[days[0]][0]) > 8 or not about.head[days[0]][0].isdigit()):
        return Place((days[0],))
    counted = [i for i in numbers if is_named(names[i])]
    if counted:
        return Place((counted[0],))
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
