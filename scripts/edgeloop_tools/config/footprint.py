"""How much of nucleus lite's room a line's configuration takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeloop_tools.config.line import Line, effective
from edgeloop_tools.core.ipc import limits, rpc

RESPONSE = limits.MESSAGE_BYTES - 250
"""Bytes of JSON that lite can send back."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """keys: of the merge; whole: with the recipe's defaults, as read back; bytes: of the whole as JSON; leaf: bytes of
    the largest value, at `where`."""

    keys: int
    whole: int
    bytes: int
    leaf: int
    where: str


def footprint(merge: Mapping[str, Any], whole: Mapping[str, Any]) -> Footprint:
    leaves = [(_size(value), ".".join(path)) for path, value in limits.leaves(dict(merge))]
    largest, where = max(leaves, default=(0, ""))
    return Footprint(limits.keys(merge), limits.keys(whole), _size(whole), largest, where)


def footprints(line: Line) -> dict[str, Footprint]:
    """Component → footprint. Raises LineErrors."""
    whole = effective(line)
    return {name: footprint(merge, whole[name]) for name, merge in line.components().items()}


def too_large(line: Line) -> None:
    """Adds what lite would refuse to the line's problems."""
    if any(not problem.note for problem in line.problems):
        return
    whole = effective(line)
    for name, merge in line.components().items():
        for path, value in limits.leaves(merge):
            size = _size(value)
            if size > limits.LEAF_BYTES:
                why = f"{size} bytes, nucleus lite takes {limits.LEAF_BYTES} in one value"
                where = line.located(name, ".".join(path))
                line.add(where, "the value is too large", why, "split it into a map of smaller ones")
        if limits.depth(merge) > limits.CONFIGURATION_DEPTH:
            why = f"nucleus lite takes {limits.CONFIGURATION_DEPTH} maps in each other"
            line.add(_at(line, name, ""), "too deep", why)
        _count(line, name, merge, whole[name])


def _count(line: Line, name: str, merge: Mapping[str, Any], whole: Mapping[str, Any]) -> None:
    most, keys = _heaviest(merge)
    where, mend = _at(line, name, most), "move its table into a file on the device, or part of it to another device"
    counted = limits.keys(whole)
    if counted > limits.KEYS:
        own = f"{limits.keys(merge)} from here, {keys} in {most}"
        why = f"{name} has {counted} keys ({own}), nucleus lite takes {limits.KEYS}"
        line.add(where, "too many keys", why, mend, key=True)
    elif (size := _size(whole)) > RESPONSE:
        why = f"{name} has {size} bytes of configuration, nucleus lite takes {RESPONSE}"
        line.add(where, "too much configuration", why, mend, key=True)


def _heaviest(merge: Mapping[str, Any]) -> tuple[str, int]:
    """The entry of a collection with the most keys."""
    entries = {
        f"{section}.{id}": limits.keys(entry) + 1
        for section, collection in merge.items() if isinstance(collection, Mapping)
        for id, entry in collection.items()
    }  # fmt: skip
    return max(entries.items(), key=lambda item: (item[1], item[0]), default=("", 0))


def _at(line: Line, name: str, path: str) -> str:
    return line.located(name, path) if path else line.parts[name].origins[0][1]


def _size(value: Any) -> int:
    return len(rpc.encoder.encode(value))
