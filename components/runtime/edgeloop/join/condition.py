"""A condition on one column of another stream: `press1_plc.running`, `!press1_plc.manual`, `spindle.speed > 100`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeloop.join.asof import Value

_FORM = re.compile(r"\s*(!?)\s*([a-z0-9][a-z0-9_-]{0,31})\.([^\s=<>!]+)\s*(?:(>=|<=|!=|==?|>|<)\s*(.+?))?\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """stream.column, optionally negated (`!`), or compared with a literal."""

    stream: str
    column: str
    negated: bool = False
    operator: str = ""
    literal: str = ""

    @classmethod
    def parse(cls, text: str) -> Condition:
        """
        >>> Condition.parse("press1_plc.running")
        Condition(stream='press1_plc', column='running', negated=False, operator='', literal='')
        >>> Condition.parse("press1_slow.speed > 100").holds(120.0)
        True
        >>> Condition.parse("press1_plc.running == true").holds(True)
        True
        """
        match = _FORM.fullmatch(text)
        if match is None or (match[1] and match[4]):
            raise ValueError(f'{text!r} is no condition (such as "press1_plc.running" or "press1_slow.speed > 100")')
        sign = "=" if match[4] == "==" else match[4] or ""
        if sign not in ("", "=", "!="):
            try:
                float(match[5])
            except ValueError:
                raise ValueError(f"{match[5]!r} is no number to compare with") from None
        return cls(match[2], match[3], bool(match[1]), sign, match[5] or "")

    def holds(self, value: Value | None) -> bool:
        """Whether a value satisfies it; an unknown value does not."""
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return False
        if not self.operator:
            return bool(value) != self.negated
        if isinstance(value, bool):
            wanted = self.literal.lower() in ("true", "1", "yes", "on")
            return _OPERATORS[self.operator](value, wanted)
        if isinstance(value, str):
            return _OPERATORS[self.operator](value, self.literal)
        try:
            return _OPERATORS[self.operator](float(value), float(self.literal))
        except ValueError:
            return self.operator == "!="
