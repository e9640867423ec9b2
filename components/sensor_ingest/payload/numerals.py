"""Numbers as people and devices write them, words that stand for numbers, and nothing half read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

Decimal = Literal["", ".", ","]
MISSING = frozenset({"", "na", "nan", "null", "none", "-", "n/a", "?"})
LOGICAL = {"true": 1.0, "false": 0.0}
_COMMA = re.compile(r"[-+]?\d*,\d+(?:[eE][-+]?\d{1,3})?")
_EITHER = re.compile(r"[-+]?[1-9]\d{0,2},\d{3}")
"""21 thousand or 21 and some thousandths."""
DECLARE = 'say `decimal: ","` or `decimal: "."`'


class Numerals:
    """Values to numbers. decimal: what stands before decimals in texts, "": as what came so far shows.

    words: texts that stand for a number, or for none (NaN).

    >>> numerals = Numerals()
    >>> numerals("1,234"), numerals.why.partition(":")[0]
    (None, "'1,234' is one and some thousandths or more than a thousand")
    >>> numerals("21,5"), numerals("1,234"), numerals(True), numerals("on")
    (21.5, 1.234, 1.0, None)
    """

    def __init__(self, decimal: Decimal = "", words: Mapping[str, float] | None = None) -> None:
        self.decimal: Decimal = decimal
        self._said = bool(decimal)
        self._words = {word.casefold(): value for word, value in (words or {}).items()}
        self.odd = 0
        """Values that were no numbers, and taken for missing."""
        self.why = ""
        """What was odd about the last one."""

    def __call__(self, value: Any) -> float | None:
        """NaN where it is said to be missing or without end, None where it is no number."""
        if isinstance(value, float):
            return value if math.isfinite(value) else math.nan
        if isinstance(value, int):
            try:
                return float(value)
            except OverflowError:
                return math.nan
        if value is None:
            return math.nan
        if isinstance(value, str):
            return self._text(value.strip())
        self.why = f"{str(value)[:40]!r} is no number"
        return None

    def knows(self, word: Any) -> bool:
        return isinstance(word, str) and word.strip().casefold() in self._words

    def take(self, value: Any) -> float:
        """NaN for what is no number, counted."""
        number = self(value)
        if number is None:
            self.odd += 1
            return math.nan
        return number

    def saw(self, decimal: Decimal) -> None:
        """Something that came shows how decimals are written."""
        if not self._said:
            self.decimal, self._said = decimal, True

    def _text(self, text: str) -> float | None:
        folded = text.casefold()
        if folded in self._words:
            return self._words[folded]
        if folded in MISSING:
            return math.nan
        if folded in LOGICAL:
            return LOGICAL[folded]
        self.why = f"{text[:40]!r} is no number; a word that stands for one belongs into `words`"
        if "_" in text or len(text) > 400 or not text.isascii():
            return None
        if "," in text:
            return self._comma(text)
        if self.decimal == "," and "." in text:
            self.why = f"{text[:40]!r} has a point, the decimals come behind a comma"
            return None
        try:
            number = float(text)
        except ValueError:
            return None
        if "." in text and not self._said:
            self.saw(".")
        return number if math.isfinite(number) else math.nan

    def _comma(self, text: str) -> float | None:
        if not _COMMA.fullmatch(text):
            return None
        if self.decimal == ".":
            self.why = f"{text[:40]!r} has a comma, the decimals come behind a point; {DECLARE}"
            return None
        if not self.decimal:
            if _EITHER.fullmatch(text):
                self.why = f"{text[:40]!r} is one and some thousandths or more than a thousand: {DECLARE}"
                return None
            self.saw(",")
        return float(text.replace(",", "."))


def number(value: Any) -> float | None:
    """
    >>> number("21,5"), number(True), number("1e400"), number("on")
    (21.5, 1.0, nan, None)
    """
    return Numerals()(value)


def words(given: Mapping[str, str] | str) -> dict[str, float]:
    """Number by word of `ON=1, OFF=0, unavailable=none`, or of a map. Raises ValueError.

    >>> words("ON=1, not ready=none")
    {'ON': 1.0, 'not ready': nan}
    """
    if isinstance(given, str):
        pairs = [part.rpartition("=") for part in re.split(r"[,\n]", given) if part.strip()]
        texts = {word.strip(): value for word, _, value in pairs}
    else:
        texts = dict(given)
    found = {}
    for word, text in texts.items():
        try:
            found[word.strip()] = math.nan if text.strip().casefold() in ("none", "missing") else float(text)
        except ValueError:
            raise ValueError(f"words: {word!r} stands for a number or none, not for {text!r}") from None
        if not word.strip():
            raise ValueError("words: a word is empty, such as ON=1")
    return found
