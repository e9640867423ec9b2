"""From one configuration of components to another: what to merge, what to reset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgeloop_tools.config import grants
from edgeloop_tools.config.grants import ACCESS

_NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf. pointer: a JSON pointer (RFC 6901); before, after: None where there is nothing."""

    pointer: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.pointer}: {self.after}"
        if self.after is None:
            return f"- {self.pointer}: {self.before}"
        return f"~ {self.pointer}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Update:
    """A component's configurationUpdate: reset comes before merge, which is the whole of the new configuration."""

    merge: dict[str, Any]
    reset: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    def request(self) -> dict[str, Any]:
        """As `--update-config` of the Greengrass CLI takes it."""
        said: dict[str, Any] = {"MERGE": self.merge} if self.merge else {}
        return said | ({"RESET": list(self.reset)} if self.reset else {})


Configurations = Mapping[str, Mapping[str, Any]]


def difference(old: Configurations, new: Configurations) -> dict[str, Update]:
    """Component → update, of those that change. What the recipe grants (accessControl) is never touched, what the line
    grants goes with the line.

    >>> update = difference({"a": {"s": {"x": 1, "y": 2}}}, {"a": {"s": {"x": 3}}})["a"]
    >>> update.merge, update.reset, [str(change) for change in update.changes]
    ({'s': {'x': 3}}, ('/s/y',), ['~ /s/x: 1 → 3', '- /s/y: 2'])
    """
    result = {}
    for name in sorted(old.keys() | new.keys()):
        before, after = _own(old.get(name, {})), _own(new.get(name, {}))
        changes = tuple(_changes(before, after, ""))
        if changes:
            result[name] = Update(after, tuple(_resets(before, after, "")), changes)
    return result


def _own(configuration: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in configuration.items() if key != ACCESS}
    granted = grants.own(configuration.get(ACCESS))
    return {**kept, ACCESS: granted} if granted else kept


def pointer(above: str, key: str) -> str:
    """
    >>> pointer("/a", "b/c~d")
    '/a/b~1c~0d'
    """
    return f"{above}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _resets(old: Mapping[str, Any], new: Mapping[str, Any], above: str) -> Iterator[str]:
    for key in sorted(old, key=str):
        here, before, after = pointer(above, key), old[key], new.get(key, _NOTHING)
        if isinstance(before, Mapping) and isinstance(after, Mapping) and after:
            yield from _resets(before, after, here)
        elif after is _NOTHING or (isinstance(before, Mapping) != isinstance(after, Mapping)) or before != after == {}:
            yield here


def _changes(old: Any, new: Any, above: str) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys(), key=str):
            yield from _changes(old.get(key, _NOTHING), new.get(key, _NOTHING), pointer(above, key))
    elif isinstance(old, Mapping) and old:
        for key in sorted(old, key=str):
            yield from _changes(old[key], _NOTHING, pointer(above, key))
        if new is not _NOTHING:
            yield Change(above, None, new)
    elif isinstance(new, Mapping) and new:
        if old is not _NOTHING and not isinstance(old, Mapping):
            yield Change(above, old, None)
        for key in sorted(new, key=str):
            yield from _changes(_NOTHING, new[key], pointer(above, key))
    elif not same(old, new):
        yield Change(above, None if old is _NOTHING else old, None if new is _NOTHING else new)


def same(old: Any, new: Any) -> bool:
    """Whether two leaves mean the same: lite makes text of numbers and booleans.

    >>> same("5", 5), same("4.0", 4.0), same("true", True), same(1, True)
    (True, True, True, False)
    """
    if old is _NOTHING or new is _NOTHING:
        return old is new
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    for text, number in ((old, new), (new, old)):
        if isinstance(text, str) and isinstance(number, (int, float)) and not isinstance(number, bool):
            try:
                return float(text) == number
            except ValueError:
                return False
    return bool(_text(old) == _text(new))


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (int, float)) else value
