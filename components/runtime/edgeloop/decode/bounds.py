"""How large a document may be, and the walk that looks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import msgspec

from edgeloop.errors import DecodeError


@dataclass(frozen=True, slots=True)
class Bounds:
    """size: bytes of the document; depth: levels of lists and maps; text: characters (bytes) of one string, key or byte
    string; low, high: of integers (an
    epoch has 64 bits without a sign); finite: whether NaN and infinities are refused."""

    size: int = 1 << 20
    depth: int = 32
    text: int = 64 << 10
    low: int = -(1 << 63)
    high: int = (1 << 64) - 1
    finite: bool = True


OUTSIDE: Final = Bounds()
"""What every document from outside keeps to, unless its reader names others."""
OWN: Final = Bounds(size=64 << 20, text=1 << 20)
"""What a component wrote for itself, and manifests of models."""


def check(
    value: Any, bounds: Bounds = OUTSIDE, *, what: str = "a document", where: str = "", shared: bool = True
) -> None:
    """Raises DecodeError for the first thing beyond the bounds. Never recurses, and sees each part once a level: a
    cycle is too deep. shared: whether a part may stand in several places, as CBOR's references have it.

    >>> try: check({"issued": 10**400}, what="an action")
    ... except DecodeError as error: print(error)
    an action cannot be used: an integer of more than 64 bits
    """
    level: list[Any] = [value]
    seen: set[int] = set()
    for _ in range(bounds.depth):
        below: dict[int, Any] = {}
        for each in level:
            for part in _parts(each):
                if isinstance(part, _CONTAINERS):
                    if not shared and id(part) in seen:
                        raise refused(what, where, "a part of it stands in several places")
                    seen.add(id(part))
                    below[id(part)] = part
                elif (why := _leaf(part, bounds)) is not None:
                    raise refused(what, where, why)
        if not below:
            return
        level = list(below.values())
    raise refused(what, where, f"more than {bounds.depth} levels")


_CONTAINERS: Final = (Mapping, list, tuple, set, frozenset, msgspec.Struct)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return chain(value, value.values())
    if isinstance(value, msgspec.Struct):
        return (getattr(value, field) for field in value.__struct_fields__)
    return value if isinstance(value, (list, tuple, set, frozenset)) else (value,)


def refused(what: str, where: str, why: str) -> DecodeError:
    return DecodeError(f"{what} cannot be used", where=where, why=why)


def _leaf(value: Any, bounds: Bounds) -> str | None:
    if isinstance(value, (str, bytes)):
        return f"a text of {len(value)} characters, {bounds.text} at most" if len(value) > bounds.text else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return None if bounds.low <= value <= bounds.high else "an integer of more than 64 bits"
    if isinstance(value, float) and bounds.finite and not math.isfinite(value):
        return "a number is not finite"
    return None
