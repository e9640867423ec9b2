"""Conditions over channels: `current > 40 and press1.speed < 100`, `mean(temp, 10 s) - ambient >= 20 or not running`.

Three-valued: where a value is missing a comparison is neither true nor false.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.config.quantities import Duration

FUNCTIONS = ("mean", "min", "max", "rms", "rate", "count", "sum")
LONGEST = 400
DEEPEST = 16
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?![\w.]))|(?P<text>'[^']*'|\"[^\"]*\")|`(?P<quoted>[^`]+)`|"
    r"(?P<name>[A-Za-z_0-9](?:[\w.:/-]*\w)?)|(?P<sign><=|>=|!=|==|[<>=!()+*/,-]))"
)
_COMPARE: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    ">": (operator.gt, operator.le), "<": (operator.lt, operator.ge), ">=": (operator.ge, operator.lt),
    "<=": (operator.le, operator.gt), "=": (operator.eq, operator.ne), "==": (operator.eq, operator.ne),
    "!=": (operator.ne, operator.eq),
}  # fmt: skip
_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}
_WORDS = {"true": 1.0, "false": 0.0}
Values = Mapping["Operand", Any]
Truth = tuple[Any, Any]
"""Where it is known to hold, and known not to: arrays (n,) of booleans."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A channel, `channel` or `stream.channel`; window: ns over which `function` is taken."""

    name: str
    function: str = ""
    window: int = 0


class Expression:
    """Raises ValueError where it is none.

    >>> Expression("current > 40 and mean(speed, 1 s) < 100").operands
    (Operand(name='current', function='', window=0), Operand(name='speed', function='mean', window=1000000000))
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"a condition has at most {LONGEST} characters")
        self.text = text
        self._tokens = _tokens(text)
        self._at = self._depth = 0
        self._operands: dict[Operand, None] = {}
        self._truth = self._either()
        if self._at < len(self._tokens):
            raise ValueError(f"{text!r} is no condition: {self._tokens[self._at][1]!r} is not expected")
        if not self._operands:
            raise ValueError(f"{text!r} names no channel")

    @property
    def operands(self) -> tuple[Operand, ...]:
        return tuple(self._operands)

    def judge(self, values: Values) -> Truth:
        return self._truth(values)

    def _peek(self) -> str:
        return self._tokens[self._at][1].lower() if self._at < len(self._tokens) else ""

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ValueError(f"{self.text!r} is no condition: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, *words: str) -> bool:
        if self._peek() in words and self._tokens[self._at][0] != "quoted":
            self._at += 1
            return True
        return False

    def _either(self) -> Callable[[Values], Truth]:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda values: _or([part(values) for part in parts])

    def _both(self) -> Callable[[Values], Truth]:
        parts = [self._not()]
        while self._accept("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else lambda values: _and([part(values) for part in parts])

    def _not(self) -> Callable[[Values], Truth]:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("a condition is nested too deeply")
        try:
            if self._accept("not", "!"):
                inner = self._not()
                return lambda values: inner(values)[::-1]
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Callable[[Values], Truth]:
        start = self._at
        if self._accept("("):
            inner = self._either()
            if self._accept(")") and self._peek() not in (*_COMPARE, *_ARITHMETIC):
                return inner
            self._at = start
        left = self._sum()
        sign = self._peek()
        if sign in _COMPARE:
            self._at += 1
            right = self._sum()
            yes, no = _COMPARE[sign]
            return lambda values: _compared(yes, no, left(values), right(values))
        return lambda values: _compared(operator.ne, operator.eq, left(values), 0.0)

    def _sum(self) -> Callable[[Values], Any]:
        return self._chain(self._product, "+", "-")

    def _product(self) -> Callable[[Values], Any]:
        return self._chain(self._operand, "*", "/")

    def _chain(self, inner: Callable[[], Callable[[Values], Any]], *signs: str) -> Callable[[Values], Any]:
        left = inner()
        while self._peek() in signs:
            left = _joined(_ARITHMETIC[self._take()[1]], left, inner())
        return left

    def _operand(self) -> Callable[[Values], Any]:
        kind, word = self._take()
        if kind == "number":
            number = float(word)
            return lambda values: number
        if kind == "text":
            text = word[1:-1]
            return lambda values: text
        if word == "-":
            inner = self._operand()
            return lambda values: -inner(values)
        if word == "(":
            self._depth += 1
            if self._depth > DEEPEST:
                raise ValueError("a condition is nested too deeply")
            grouped = self._sum()
            self._depth -= 1
            if not self._accept(")"):
                raise ValueError(f"{self.text!r} is no condition: a bracket is not closed")
            return grouped
        if kind == "name" and word.lower() in FUNCTIONS and self._peek() == "(":
            operand = self._windowed(word.lower())
        elif kind == "name" and word.lower() in _WORDS:
            number = _WORDS[word.lower()]
            return lambda values: number
        elif kind == "quoted" or (kind == "name" and word.lower() not in ("and", "or", "not")):
            operand = Operand(word)
        else:
            raise ValueError(f"{self.text!r} is no condition: {word!r} is not expected")
        self._operands[operand] = None
        return lambda values: values[operand]

    def _windowed(self, function: str) -> Operand:
        self._take()
        kind, name = self._take()
        if kind not in ("name", "quoted") or not self._accept(","):
            raise ValueError(f"{function} is of a channel over a time, such as {function}(current, 1 s)")
        length = ""
        while self._peek() not in (")", ""):
            length += f" {self._take()[1]}"
        if not self._accept(")"):
            raise ValueError(f"{self.text!r} is no condition: a bracket is not closed")
        return Operand(name, function, window(length.strip()))


def window(text: str) -> int:
    """ns. Raises ValueError."""
    length = int(Duration(text))
    if not 0 < length <= 3_600_000_000_000:
        raise ValueError(f"{text!r} is no window, such as 1 s; at most 1 h")
    return length


def _joined(
    function: Callable[[Any, Any], Any], left: Callable[[Values], Any], right: Callable[[Values], Any]
) -> Callable[[Values], Any]:
    def value(values: Values) -> Any:
        with np.errstate(all="ignore"):
            return function(left(values), right(values))

    return value


def _tokens(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no condition: {text[at : at + 12]!r} is not understood")
        kind = match.lastgroup or ""
        found.append((kind, match[kind]))
        at = match.end()
    return found


def _compared(yes: Callable[[Any, Any], Any], no: Callable[[Any, Any], Any], left: Any, right: Any) -> Truth:
    known = _known(left) & _known(right)
    try:
        return yes(left, right) & known, no(left, right) & known
    except TypeError:
        nothing = np.zeros(np.shape(known), dtype=bool)
        return nothing, nothing


def _known(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            return value == value
        return np.array([v is not None for v in value], dtype=bool)
    return True


def _and(parts: list[Truth]) -> Truth:
    yes, no = parts[0]
    for other, against in parts[1:]:
        yes, no = yes & other, no | against
    return yes, no


def _or(parts: list[Truth]) -> Truth:
    yes, no = parts[0]
    for other, against in parts[1:]:
        yes, no = yes | other, no & against
    return yes, no


Row = NDArray[np.bool_]
