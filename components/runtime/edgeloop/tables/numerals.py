"""Numbers as people's programs write them: which mark is the decimal one, and which parts thousands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from edgeloop.tables.moments import Ambiguous
from edgeloop.tables.options import Decimal, Thousands

MISSING = frozenset({
    "", "na", "nan", "null", "none", "nil", "-", "--", "---", "n/a", "#n/a", "n.a.", "k.a.", "n/v", "?", ".", "*", "#",
    "missing", "undefined", "leer", "vide", "1.#qnan", "-1.#ind", "1.#ind", "#wert!", "#div/0!", "#value!", "#num!",
    "#ref!", "#null!", "#name?", "(null)", "<na>", "nat",
})  # fmt: skip
BOOLEANS = {
    "true": 1.0, "false": 0.0, "wahr": 1.0, "falsch": 0.0, "vrai": 1.0, "faux": 0.0, "verdadero": 1.0, "falso": 0.0,
    "yes": 1.0, "no": 0.0, "on": 1.0, "off": 0.0, "ja": 1.0, "nein": 0.0, "oui": 1.0, "non": 0.0,
    "ein": 1.0, "aus": 0.0,
}  # fmt: skip
HUGE = 1e37
"""No measurement is of this size: programs write it where they have none."""
PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
SPACES = str.maketrans({"\xa0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "’": "'"})


@dataclass(frozen=True, slots=True)
class Style:
    """How the numbers of one table are written."""

    decimal: Decimal = "."
    thousands: Thousands = ""

    @property
    def plain(self) -> bool:
        return self.decimal == "." and not self.thousands

    @property
    def pattern(self) -> str:
        """A regular expression of the numbers that this style reads (RE2, and Python's)."""
        mark = re.escape(self.decimal or ".")
        whole = rf"[1-9]\d{{0,2}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+" if self.thousands else r"\d+"
        return rf"^[+-]?(?:(?:{whole})(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?$"

    def read(self, text: str) -> float | None:
        """
        >>> Style(",", ".").read("1.234,5"), Style(",", ".").read("1.23"), Style(".", "'").read("1'000")
        (1234.5, None, 1000.0)
        """
        if not _pattern(self).match(text):
            return None
        if self.thousands:
            text = text.replace(self.thousands, "")
        return float(text.replace(self.decimal, "."))

    def words(self) -> str:
        names = {".": "points", ",": "commas", " ": "blanks", "'": "apostrophes"}
        return (f"decimal {names[self.decimal]}" if self.decimal else "") + (
            f", thousands by {names[self.thousands]}" if self.thousands else ""
        )


_PATTERNS: dict[Style, re.Pattern[str]] = {}


def _pattern(style: Style) -> re.Pattern[str]:
    if style not in _PATTERNS:
        _PATTERNS[style] = re.compile(style.pattern, re.ASCII)
    return _PATTERNS[style]


STYLES = (
    Style(".", ","), Style(",", ""), Style(",", "."), Style(",", " "), Style(".", " "), Style(".", "'"),
    Style(",", "'"),
)  # fmt: skip
_NUMERIC = re.compile(r"[+-]?[\d][\d.,' ]*(?:[eE][+-]?\d+)?|[+-]?[.,]\d+", re.ASCII)


@dataclass(slots=True)
class Evidence:
    """What the cells of a column look like: number of plain ones and of others, examples of the others, and of plain
    ones with a point."""

    plain: int = 0
    cells: int = 0
    odd: Counter[str] = field(default_factory=Counter)
    pointed: set[str] = field(default_factory=set)

    def add_odd(self, texts: Iterable[str]) -> None:
        for text in texts:
            if len(self.odd) < 4000 or text in self.odd:
                self.odd[text] += 1

    @property
    def logical(self) -> bool:
        """Whether its texts are yes and no, and hardly a number stands among them."""
        known = sum(n for text, n in self.odd.items() if text.lower() in BOOLEANS)
        return known > 0 and known >= 0.9 * sum(self.odd.values()) and 2 * known >= self.cells

    def numeric(self) -> list[str]:
        """Odd cells that are numbers of some style."""
        return [t for t in self.odd if _NUMERIC.fullmatch(t)]


def style(columns: Iterable[Evidence], separator: str, decimal: str, thousands: str, where: str) -> Style:
    """The one style that reads the numbers of a table. Raises Ambiguous, naming the option that decides."""
    columns = list(columns)
    odd = [text for column in columns for text in column.numeric()]
    if decimal or thousands:
        mark = decimal or ("," if thousands == "." else ".")
        return Style(mark, thousands if thousands else ("" if decimal != "," else "."))  # type: ignore[arg-type]
    if not odd:
        return Style()
    reads = {one: sum(one.read(text) is not None for text in odd) for one in STYLES}
    most = max(reads.values())
    if not most:
        return Style()
    best = [one for one in STYLES if reads[one] == most]
    if most < 0.98 * len(odd):
        unread = next(text for text in odd if best[0].read(text) is None)
        read = next(text for text in odd if best[0].read(text) is not None)
        raise Ambiguous("the numbers are not all written alike", where=where, why=f"{read!r} and {unread!r}",
                        mend="say which is the `decimal` mark, and `thousands`")  # fmt: skip
    plain = next((one for one in best if not one.thousands), None)
    grouped = [one for one in best if one.thousands]
    if plain is None:
        chosen = grouped[0]
    elif Style(".", ",") in best:
        chosen = _comma(columns, plain, separator, where)
    else:
        chosen = plain
    return _with_points(chosen, columns, where)


def _comma(columns: list[Evidence], plain: Style, separator: str, where: str) -> Style:
    """Whether 19,933 is about 20 or about 20,000, where all commas stand before three digits."""
    odd = [text for column in columns for text in column.numeric()]
    if any(re.search(r",\d{3},", text) for text in odd):
        return Style(".", ",")
    if separator == ";" and not any(column.plain for column in columns if column.numeric()):
        return plain
    raise Ambiguous("a comma may be the decimal mark, or part thousands", where=where, why=repr(odd[0]),
                    mend='say `decimal: ","` or `thousands: ","`')  # fmt: skip


def _with_points(chosen: Style, columns: list[Evidence], where: str) -> Style:
    """What a point is in a table whose decimal mark is the comma."""
    if chosen.decimal != ",":
        return chosen
    points = [text for column in columns for text in column.pointed]
    if not points:
        return chosen
    grouped = Style(",", ".")
    unread = [text for text in points if grouped.read(text) is None]
    if unread:
        raise Ambiguous("the numbers are not all written alike", where=where,
                        why=f"a comma is the decimal mark, but there is {unread[0]!r}",
                        mend='say `decimal: "."` or `decimal: ","`; what it does not read is missing')  # fmt: skip
    if chosen == grouped:
        return chosen
    raise Ambiguous("a point may be a decimal mark, or part thousands", where=where, why=repr(points[0]),
                    mend='say `thousands: "."` or `decimal: "."`')  # fmt: skip
