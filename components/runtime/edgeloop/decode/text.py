"""JSON documents."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final, TypeVar, overload

import msgspec

from edgeloop.decode.bounds import OUTSIDE, Bounds, check, refused
from edgeloop.errors import DecodeError

T = TypeVar("T")

FAILURES: Final = (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError, MemoryError)
_LONG = re.compile(rb"-9[2-9][0-9]{17}|[0-9]{20}")
"""Digits that may be an integer of more than 64 bits."""


@overload
def document(data: bytes, *, what: str = ..., where: str = ..., bounds: Bounds = ..., strict: bool = ...) -> Any: ...


@overload
def document(
    data: bytes, type: type[T], *, what: str = ..., where: str = ..., bounds: Bounds = ..., strict: bool = ...
) -> T: ...


def document(
    data: bytes,
    type: Any = Any,
    *,
    what: str = "a document",
    where: str = "",
    bounds: Bounds = OUTSIDE,
    strict: bool = True,
) -> Any:
    """The value of UTF-8 JSON, of a type that msgspec knows. what, where: of the error, such as "an alarm command" and
    its topic. strict: whether "5" is no number. Bounds that are not `finite` take NaN and Infinity too.

    Raises DecodeError, and nothing else.

    >>> document(b'{"id": "a", "value": 1}')
    {'id': 'a', 'value': 1}
    >>> try: document(b"[" * 1000 + b"]" * 1000, what="an action", where="edgeloop/actions/plc")
    ... except DecodeError as error: print(error)
    an action cannot be used (edgeloop/actions/plc): more than 32 levels
    """
    if len(data) > bounds.size:
        raise refused(what, where, f"{len(data)} bytes, {bounds.size} at most")
    try:
        harmless = _harmless(data, bounds)
        if type is not Any:
            if not harmless:
                check(_decoder(Any, True).decode(data), bounds, what=what, where=where)
            value = _decoder(type, strict).decode(data)
            check(value, bounds, what=what, where=where)
            return value
        value = _any(data, bounds)
        if not harmless:
            check(value, bounds, what=what, where=where)
    except DecodeError:
        raise
    except RecursionError:
        raise refused(what, where, f"more than {bounds.depth} levels") from None
    except FAILURES as error:
        raise refused(what, where, " ".join(str(error).split())[:200]) from None
    return value


def _any(data: bytes, bounds: Bounds) -> Any:
    try:
        return _decoder(Any, True).decode(data)
    except msgspec.DecodeError:
        if bounds.finite or (b"NaN" not in data and b"Infinity" not in data):
            raise
    return json.loads(data)


def _harmless(data: bytes, bounds: Bounds) -> bool:
    """Whether JSON of these bytes cannot be beyond the bounds: no walk is needed."""
    return (
        len(data) <= bounds.text and data.count(b"[") + data.count(b"{") <= bounds.depth and _LONG.search(data) is None
    )


@lru_cache(maxsize=256)
def _decoder(type: Any, strict: bool) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type, strict=strict)
