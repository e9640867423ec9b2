"""Quantities as people write them: "50 ms", "25.6 kHz", "2 GiB", "1 alarm/week".

Each is a number in its base unit (ns, Hz, bytes, ns of return time), reads text and bare numbers, and prints the
shortest text that reads back to the same value. Numbers are exact: a rate is a rational, never a rounded float.
Bounds of a field are written in the same words: `Meta(extra={"ge": "1 ms", "le": "1 h"})`, or with `bounded`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, ClassVar, Self

from msgspec import Meta

Number = int | float | Fraction

NANOSECONDS: dict[str, int] = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "week": 604_800_000_000_000,
    "month": 2_592_000_000_000_000,
    "year": 31_536_000_000_000_000,
}
_WORDS = {
    "sec": "s", "second": "s", "seconds": "s", "m": "min", "minute": "min", "minutes": "min", "hour": "h", "hours": "h",
    "hr": "h", "day": "d", "days": "d", "w": "week", "weeks": "week", "months": "month", "years": "year", "y": "year",
}  # fmt: skip
HERTZ: dict[str, int] = {"Hz": 1, "kHz": 1_000, "MHz": 1_000_000}
BYTES: dict[str, int] = {
    "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip

_QUANTITY = re.compile(r"\s*([+-]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?:\s*/\s*\d+)?)\s*(.*?)\s*", re.DOTALL)
_LONGEST = 80
_EXPONENT = re.compile(r"[eE][+-]?\d{3,}")


def _split(value: object, expected: str) -> tuple[Fraction, str]:
    """Number and unit of a text, a bare number's unit being ""; ValueError says what was expected."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction, str)):
        raise ValueError(f"{value!r} is no {expected}")
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value!r} is no {expected}")
        return Fraction(repr(value)), ""
    if not isinstance(value, str):
        return Fraction(value), ""
    match = _QUANTITY.fullmatch(value) if len(value) <= _LONGEST and not _EXPONENT.search(value) else None
    if match is None:
        raise ValueError(f"{value[:_LONGEST]!r} is no {expected}")
    try:
        return Fraction(re.sub(r"[\s_]", "", match[1])), match[2]
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{value!r} is no {expected}") from None


def _unit(units: dict[str, int], unit: str, expected: str) -> int:
    name = unit if unit in units else _WORDS.get(unit.lower(), "")
    if name not in units:
        name = next((known for known in units if known.lower() == unit.lower()), "")
    if name not in units:
        raise ValueError(f"unknown unit {unit!r} of a {expected}; units: {', '.join(units)}")
    return units[name]


def _decimal(value: Fraction) -> str | None:
    """Exact decimal text with at most 6 digits behind the point, or None."""
    scaled = value * 10**6
    if scaled.denominator != 1:
        return None
    whole, rest = divmod(abs(int(scaled)), 10**6)
    return f"{'-' if scaled < 0 else ''}{whole}{f'.{rest:06d}'.rstrip('0') if rest else ''}"


def _largest(value: int, units: dict[str, int]) -> str:
    """In the largest unit that leaves an integer."""
    best = next(iter(units))
    for name, size in units.items():
        if size > units[best] and value % size == 0:
            best = name
    return f"{value // units[best]} {best}"


class _Integer(int):
    """An integer of some unit that reads and prints text."""

    EXPECTED: ClassVar[str]

    def __new__(cls, value: Number | str = 0) -> Self:
        return super().__new__(cls, cls._parse(value))

    @classmethod
    def _parse(cls, value: object) -> int:
        raise NotImplementedError

    @classmethod
    def of(cls, base: int) -> Self:
        """From the base unit (ns or bytes), where the constructor takes what people write (seconds)."""
        return int.__new__(cls, base)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self),))


class Duration(_Integer):
    """A time span, an int of nanoseconds. Bare numbers are seconds; at most 1,000 years.

    >>> Duration("50 ms"), int(Duration("1.5 s")), Duration("2"), Duration(0.25), str(Duration("90 min"))
    (Duration('50 ms'), 1500000000, Duration('2 s'), Duration('250 ms'), '90 min')
    """

    EXPECTED = 'duration (such as "50 ms", "2 s", "1 h")'

    @classmethod
    def _parse(cls, value: object) -> int:
        if isinstance(value, Duration):
            return int(value)
        number, unit = _split(value, cls.EXPECTED)
        span = round(number * _unit(NANOSECONDS, unit or "s", "duration"))
        if not 0 <= span <= 1000 * NANOSECONDS["year"]:
            raise ValueError(f"{value!r} is out of range: 0 … 1000 years")
        return span

    @property
    def seconds(self) -> float:
        """
        >>> Duration("50 ms").seconds
        0.05
        """
        return int(self) / 1e9

    def __str__(self) -> str:
        if not self:
            return "0 s"
        units = {k: v for k, v in NANOSECONDS.items() if k not in ("µs", "week", "month", "year")}
        return _largest(int(self), units)


class Size(_Integer):
    """An amount of memory or disk, an int of bytes.

    >>> Size("16 MiB"), int(Size("2 GiB")), Size(4096), str(Size("1 MB"))
    (Size('16 MiB'), 2147483648, Size('4 KiB'), '1 MB')
    """

    EXPECTED = 'size (such as "64 KiB", "2 GiB")'

    @classmethod
    def _parse(cls, value: object) -> int:
        number, unit = _split(value, cls.EXPECTED)
        size = number * _unit(BYTES, unit or "B", "size")
        if size.denominator != 1 or not 0 <= size < 2**63:
            raise ValueError(f"{value!r} is no whole number of bytes in range")
        return int(size)

    def __str__(self) -> str:
        if not self:
            return "0 B"
        binary = _largest(int(self), {k: v for k, v in BYTES.items() if k == "B" or "i" in k})
        decimal = _largest(int(self), {k: v for k, v in BYTES.items() if "i" not in k})
        return min(binary, decimal, key=lambda text: (len(text), text is not binary))


class Budget(_Integer):
    """How often false alarms are acceptable, as their return time: an int of nanoseconds between two of them.

    Month and year are 30 and 365 days. Bare numbers are seconds of return time.

    >>> budget = Budget("1 alarm/week"); int(budget) // 10**9, budget, Budget("2 alarms per day"), Budget("30 d")
    (604800, Budget('1 alarm/week'), Budget('2 alarms/d'), Budget('1 alarm/month'))
    """

    EXPECTED = 'budget (such as "1 alarm/week")'

    @classmethod
    def _parse(cls, value: object) -> int:
        if isinstance(value, Budget):
            return int(value)
        number, unit = _split(value, cls.EXPECTED)
        per = re.fullmatch(r"(?:(?:false\s+)?alarms?\s*)?(?:/|per\s)\s*(?:an?\s+)?(\w+)", unit)
        if per is not None and number > 0:
            span = round(_unit(NANOSECONDS, per[1], "budget") / number)
        else:
            span = round(number * _unit(NANOSECONDS, unit or "s", "budget"))
        if not 0 < span <= 1000 * NANOSECONDS["year"]:
            raise ValueError(f"{value!r} is out of range: more than 0, at most 1 alarm in 1000 years")
        return span

    def __str__(self) -> str:
        for name in ("s", "min", "h", "d", "week", "month", "year"):
            count, rest = divmod(NANOSECONDS[name], int(self))
            if count and not rest:
                return f"{count} alarm{'s' if count > 1 else ''}/{name}"
        return str(Duration.of(int(self)))


class Rate(Fraction):
    """Samples or events a second, exact. Bare numbers are Hz; "per" and "/" take a time unit.

    >>> Rate("25.6 kHz"), Rate("10/3 Hz"), Rate(48000) == 48000, Rate("2/min"), float(Rate("0.5"))
    (Rate('25.6 kHz'), Rate('10/3 Hz'), True, Rate('1/30 Hz'), 0.5)
    """

    __slots__ = ()
    EXPECTED: ClassVar[str] = 'rate (such as "25.6 kHz", "10/3 Hz")'

    def __new__(cls, value: Number | str = 0, denominator: int | None = None) -> Self:
        if denominator is not None:
            return super().__new__(cls, Fraction(value) / denominator)
        number, unit = _split(value, cls.EXPECTED)
        per = re.fullmatch(r"(?:samples?\s*)?(?:/|per\s)\s*(\w+)", unit)
        if per is not None:
            rate = number * NANOSECONDS["s"] / _unit(NANOSECONDS, per[1], "rate")
        else:
            rate = number * _unit(HERTZ, unit or "Hz", "rate")
        if not 0 <= rate <= 10**9:
            raise ValueError(f"{value!r} is out of range: 0 … 1 GHz")
        return super().__new__(cls, rate)

    def __str__(self) -> str:
        for name in ("MHz", "kHz"):
            text = _decimal(Fraction(self) / HERTZ[name])
            if self >= HERTZ[name] and text is not None:
                return f"{text} {name}"
        text = _decimal(Fraction(self))
        return f"{text if text is not None else f'{self.numerator}/{self.denominator}'} Hz"

    def __repr__(self) -> str:
        return f"Rate({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (Rate, (f"{self.numerator}/{self.denominator}",))


class Learning(Duration):
    """How long is learned: a time span, or `auto`, which is 0.

    >>> Learning("1 h"), Learning("auto"), int(Learning("auto"))
    (Learning('1 h'), Learning('auto'), 0)
    """

    EXPECTED = 'duration (such as "1 h"), or auto'

    @classmethod
    def _parse(cls, value: object) -> int:
        if isinstance(value, str) and value.strip().lower() == "auto":
            return 0
        span = super()._parse(value)
        if not span:
            raise ValueError("it must be longer than 0, or auto")
        return span

    def __str__(self) -> str:
        return super().__str__() if self else "auto"


QUANTITIES: tuple[type, ...] = (Duration, Rate, Size, Budget, Learning)

_NUMBER = r"[+-]?(\d[\d_]*(\.\d*)?|\.\d+)([eE][+-]?\d+)?(\s*/\s*\d+)?"
_SPANS = (*NANOSECONDS, *_WORDS)
_UNITS: dict[type, tuple[Iterable[str], str]] = {
    Duration: (_SPANS, ""),
    Size: (BYTES, ""),
    Rate: (HERTZ, r"|([sS][aA][mM][pP][lL][eE][sS]?\s*)?(/|[pP][eE][rR]\s)\s*\w+"),
    Budget: (_SPANS, r"|(.*[aA][lL][aA][rR][mM][sS]?\s*)?(/|[pP][eE][rR]\s)\s*([aA][nN]?\s+)?\w+"),
}


def pattern_of(quantity: type) -> str:
    """A regular expression (ECMA-262, as editors have it) of the texts that a quantity reads.

    >>> bool(re.search(pattern_of(Duration), "50 ms")), bool(re.search(pattern_of(Duration), "1 parsec"))
    (True, False)
    """
    if quantity is Learning:
        return rf"^\s*[aA][uU][tT][oO]\s*$|{pattern_of(Duration)}"
    names, more = _UNITS[quantity]
    units = ("".join(f"[{c.lower()}{c.upper()}]" if c.isascii() and c.isalpha() else c for c in name) for name in names)
    return rf"^\s*{_NUMBER}\s*({'|'.join(dict.fromkeys(units))}{more})?\s*$"


def bounded(title: str, description: str = "", *, ge: str | None = None, le: str | None = None) -> Meta:
    """Meta of a field that is a quantity, with inclusive bounds in the words of the quantity."""
    bounds = {name: bound for name, bound in (("ge", ge), ("le", le)) if bound is not None}
    return Meta(title=title, description=description, extra=bounds)
