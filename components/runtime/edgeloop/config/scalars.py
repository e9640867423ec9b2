"""Single values: text and loosely typed JSON to what a field wants, or why not."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from edgeloop.config.quantities import QUANTITIES

_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})
_INTEGER = re.compile(r"[+-]?\d{1,19}(?:\.0{1,9})?")


_short = reprlib.Repr()
_short.maxlevel = 3
_short.maxstring = _short.maxother = _short.maxlong = 60


class Refused(Exception):
    """Why a value does not fit."""


def shown(value: object) -> str:
    """A value in a message, cut to some 60 characters."""
    return _short.repr(value)


def leaf(value: Any, kind: inspect.Type, extra: Mapping[str, Any]) -> Any:
    """The value as `kind`, a type that is no collection; `extra` bounds a quantity. Raises Refused."""
    if isinstance(kind, inspect.AnyType):
        return value
    if isinstance(kind, inspect.BoolType):
        return _bool(value)
    if isinstance(kind, inspect.IntType):
        return _bounded(_int(value), kind)
    if isinstance(kind, inspect.FloatType):
        return _bounded(_float(value), kind)
    if isinstance(kind, inspect.StrType):
        return _str(value, kind, extra)
    if isinstance(kind, inspect.LiteralType):
        return _choice(value, {choice: choice for choice in kind.values})
    if isinstance(kind, inspect.EnumType):
        return _choice(value, {member.value: member for member in kind.cls})
    if isinstance(kind, inspect.CustomType) and issubclass(kind.cls, QUANTITIES):
        return _quantity(value, kind.cls, extra)
    try:
        return msgspec.convert(value, getattr(kind, "cls", Any), strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise Refused(str(error)) from None


def _bool(value: Any) -> bool:
    text = str(value).strip().lower() if isinstance(value, (bool, int, str)) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise Refused(f"{shown(value)} is neither true nor false")


def _int(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    raise Refused(f"{shown(value)} is no integer")


def _float(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f"{shown(value)} is no number")
    return number


def _str(value: Any, kind: inspect.StrType, extra: Mapping[str, Any]) -> str:
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str):
        raise Refused(f"{shown(value)} is no text")
    if kind.min_length is not None and len(value) < kind.min_length:
        raise Refused(f"shorter than {kind.min_length} characters")
    if kind.max_length is not None and len(value) > kind.max_length:
        raise Refused(f"longer than {kind.max_length} characters")
    if kind.pattern is not None and (value.endswith("\n") or re.search(kind.pattern, value) is None):
        why = f": {extra['allowed']}" if "allowed" in extra else f" does not match {kind.pattern}"
        raise Refused(f"{shown(value)}{why}")
    return value


def _choice(value: Any, choices: Mapping[Any, Any]) -> Any:
    by_text = {str(key).lower(): choice for key, choice in choices.items()}
    text = str(value).strip().lower()
    if text not in by_text:
        raise Refused(f"{shown(value)} is none of: {', '.join(map(str, choices))}")
    return by_text[text]


def _bounded(value: Any, kind: inspect.IntType | inspect.FloatType) -> Any:
    if kind.ge is not None and value < kind.ge:
        raise Refused(f"{value} is less than the minimum {kind.ge}")
    if kind.gt is not None and value <= kind.gt:
        raise Refused(f"{value} is not above {kind.gt}")
    if kind.le is not None and value > kind.le:
        raise Refused(f"{value} is more than the maximum {kind.le}")
    if kind.lt is not None and value >= kind.lt:
        raise Refused(f"{value} is not below {kind.lt}")
    if kind.multiple_of is not None and value % kind.multiple_of:
        raise Refused(f"{value} is no multiple of {kind.multiple_of}")
    return value


def _quantity(value: Any, cls: Any, extra: Mapping[str, Any]) -> Any:
    try:
        quantity = cls(value)
    except ValueError as error:
        raise Refused(str(error)) from None
    if "ge" in extra and quantity < cls(extra["ge"]):
        raise Refused(f"{quantity} is less than the minimum {cls(extra['ge'])}")
    if "le" in extra and quantity > cls(extra["le"]):
        raise Refused(f"{quantity} is more than the maximum {cls(extra['le'])}")
    return quantity
