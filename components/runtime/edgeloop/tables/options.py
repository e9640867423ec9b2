"""What a person may say of a table; whatever is not said is found out, or asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

FORMS = ("s", "ms", "us", "ns", "seconds", "excel", "excel1904", "labview", "filetime", "ticks", "matlab", "julian")
"""Forms of times that are numbers: since 1970, since the start, and what programs count in."""
Decimal = Literal["", ".", ","]
Thousands = Literal["", ".", ",", " ", "'"]


@dataclass(frozen=True, slots=True)
class Options:
    """time: the column of times, or several joined by ` + `. form: as strptime has it, or one of FORMS. dayfirst:
    None: found out. zone: IANA, of times that name none. skip: lines above the header; None: found out. by, value:
    columns of a long table (a row a tag). sheet: of a workbook. ignore: columns left out. missing: further words
    or numbers that mean that there is no value. first: the time is in the first columns, whatever they are called.
    paced: a rate is given, so that a table without times will do.
    """

    time: str = ""
    form: str = ""
    dayfirst: bool | None = None
    zone: str = ""
    decimal: Decimal = ""
    thousands: Thousands = ""
    skip: int | None = None
    by: str = ""
    value: str = ""
    sheet: str = ""
    ignore: Collection[str] = ()
    missing: Collection[str] = ()
    first: bool = False
    paced: bool = False

    @property
    def times(self) -> tuple[str, ...]:
        """
        >>> Options(time="Date + Time").times
        ('Date', 'Time')
        """
        return tuple(part.strip() for part in self.time.split(" + ") if part.strip())
