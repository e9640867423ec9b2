"""Numbers that programs write with something around: ="21.5", 21.5 bar, 12-."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edgeloop.tables.numerals import MISSING, SPACES

_CELL = re.compile(
    r"""(?:="?(?P<quoted>[-+]?[\d.,' ]*\d(?:[eE][-+]?\d+)?)"?"""
    r"""|(?P<plain>[-+]?(?:\d[\d.,' ]*)?\d(?:[eE][-+]?\d+)?|[-+]?[.,]\d+)(?P<behind>-)?\s*"""
    r"""(?P<unit>[^\d\s,;.'+-]\S{0,11})?)"""
)
LOOK = 500


@dataclass(frozen=True, slots=True)
class Dress:
    """What stands around each number of a column. unit: as it is written there."""

    unit: str = ""

    def off(self, text: str) -> str:
        """The number alone; what is written otherwise stays.

        >>> Dress("bar").off("21,5 bar"), Dress().off('="3"'), Dress().off("12.5-"), Dress("bar").off("3 mbar")
        ('21,5', '3', '-12.5', '3 mbar')
        """
        text = text.strip().translate(SPACES)
        match = _CELL.fullmatch(text)
        if match is None or (match["unit"] or "") not in ("", self.unit):
            return text
        number = match["quoted"] or match["plain"]
        return f"-{number}" if match["behind"] and number[0] not in "+-" else number


def dress(cells: Sequence[str]) -> Dress | None:
    """What is around the numbers of a column, None where they are bare, or are no numbers.

    A unit is one that is known, the same in all cells.

    >>> dress(["21,5 bar", "3 bar"]), dress(["1", "2"]), dress(["3 bar", "3 mbar"]), dress(["2-", "3"]), dress(["12q"])
    (Dress(unit='bar'), None, None, Dress(unit=''), None)
    """
    from edgeloop.config.units import meant

    units: set[str] = set()
    dressed = numbers = others = 0
    for cell in cells[:LOOK]:
        text = cell.strip().translate(SPACES)
        if text.lower() in MISSING:
            continue
        match = _CELL.fullmatch(text)
        if match is None:
            others += 1
            continue
        numbers += 1
        worn = bool(match["quoted"] or match["behind"] or match["unit"] or "\u2212" in cell)
        dressed += worn
        if match["unit"]:
            units.add(match["unit"])
    if not dressed or len(units) > 1 or others > numbers // 4:
        return None
    unit = next(iter(units), "")
    if unit and (2 * dressed < numbers or meant(unit) is None):
        return None
    return Dress(unit)
