"""The configuration that an earlier version left on a device, under the names of this one.

Defaults of a new version never overwrite what a device has, and what the old version had stays: beside a setting's new
name, with its default, there is still the old name, with what the plant had set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeloop.config.load import absent


def migrated(raw: Any, renamed: Mapping[str, str], defaults: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """(the configuration with this version's names, old name → what became of its value). `raw` stays as it is.

    renamed: dotted path of an earlier version → that of this one, "" where there is none. A value under the new name
    that is not its default counts more than one under the old name.

    >>> raw = {"rate": "5 Hz", "pace": {"every": "1 s"}, "colour": "red"}
    >>> value, notes = migrated(raw, {"rate": "pace.rate", "colour": ""}, {"pace": {"every": "1 s"}})
    >>> value
    {'pace': {'every': '1 s', 'rate': '5 Hz'}}
    >>> notes
    {'rate': 'is now pace.rate', 'colour': 'has no meaning any more'}
    """
    notes: dict[str, str] = {}
    if not isinstance(raw, dict):
        return raw, notes
    for old, new in renamed.items():
        raw, value = _taken(raw, old.split("."))
        if absent(value):
            continue
        if not new:
            notes[old] = "has no meaning any more"
        elif (there := _at(raw, new.split("."))) == _at(defaults, new.split(".")) or absent(there):
            raw = _put(raw, new.split("."), value)
            notes[old] = f"is now {new}"
        else:
            notes[old] = f"is now {new}, which is set: that counts"
    return raw, notes


def _at(value: Any, path: list[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _taken(value: dict[str, Any], path: list[str]) -> tuple[dict[str, Any], Any]:
    """The map without what is at the path, and that."""
    name, *below = path
    inner = value.get(name)
    if not below:
        return {key: item for key, item in value.items() if key != name}, inner
    if not isinstance(inner, dict):
        return value, None
    inner, taken = _taken(inner, below)
    return {**value, name: inner}, taken


def _put(value: dict[str, Any], path: list[str], new: Any) -> dict[str, Any]:
    name, *below = path
    inner = value.get(name)
    return {**value, name: _put(inner if isinstance(inner, dict) else {}, below, new) if below else new}
