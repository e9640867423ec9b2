"""The configuration of components, as a nucleus keeps it: every leaf has the time when it was set."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import files

DEFAULT_TIME = 1
"""The time (ms) of values that a recipe gives."""

Path_ = tuple[str, ...]


class Stale(Exception):
    """What is there was set later than the update says."""


class Leaf:
    """A value that is no map with keys, and when it was set (ms since 1970)."""

    __slots__ = ("time", "value")

    def __init__(self, value: Any, time: int) -> None:
        self.value, self.time = value, time

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaf) and (self.value, self.time) == (other.value, other.time)

    __hash__ = None  # type: ignore[assignment]


Node = dict[str, "Node | Leaf"]


class ConfigurationStore:
    """All components' configurations in one file. An update is on disk when the call returns.

    >>> import tempfile
    >>> store = ConfigurationStore(Path(tempfile.mkdtemp()) / "configuration.json")
    >>> store.merge("a", {"rate": 5, "on": True}, ())
    [('rate',), ('on',)]
    >>> store.defaults("a", {"rate": 1, "off": False})
    [('off',)]
    >>> store.get("a", ())
    {'rate': 5, 'on': True, 'off': False}
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._components: dict[str, Node] = {}
        if path and path.exists():
            try:
                self._components = {name: _load(entry) for name, entry in json.loads(path.read_bytes()).items()}
            except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
                raise EdgeloopError(
                    "cannot read the core's configuration",
                    where=str(path),
                    why=str(error),
                    mend="delete the file: deployments write it again",
                ) from None

    def components(self) -> list[str]:
        return sorted(self._components)

    def draft(self) -> ConfigurationStore:
        """A copy that is not written anywhere, to be given to `adopt`."""
        copy = ConfigurationStore(None)
        copy._components = deepcopy(self._components)
        return copy

    def adopt(self, other: ConfigurationStore) -> dict[str, list[Path_]]:
        """Become what the other is, at once and durably. Returns the changed paths per component."""
        before, self._components = self._components, deepcopy(other._components)
        self._save(durable=True)
        names = before.keys() | self._components.keys()
        changes = {name: _differences(before.get(name, {}), self._components.get(name, {})) for name in names}
        return {name: paths for name, paths in changes.items() if paths}

    def get(self, component: str, path: Sequence[str]) -> Any:
        """Raises KeyError where there is nothing."""
        return _value(self._find(component, path))

    def time(self, component: str, path: Sequence[str]) -> int:
        return _newest(self._find(component, path))

    def merge(
        self, component: str, value: Any, path: Sequence[str], timestamp: int | None = None, *, keep_newer: bool = False
    ) -> list[Path_]:
        """Merge `value` at `path` (timestamp in ms). Returns the paths of the leaves that changed. Where something was
        set later: raises Stale, and then nothing has changed, or with `keep_newer` leaves that as it is."""
        stamp = int(time.time() * 1000) if timestamp is None else timestamp
        node: Node | Leaf = _tree(value, stamp)
        for key in reversed(path):
            node = {key: node}
        if isinstance(node, Leaf):
            if node.value != {}:
                raise ValueError("the root of a configuration is a map")
            node = {}
        new = deepcopy(self._components.get(component, {}))
        changed: list[Path_] = []
        _merge(new, node, (), changed, keep_newer)
        self._components[component] = new
        self._save()
        return changed

    def defaults(self, component: str, value: Mapping[str, Any]) -> list[Path_]:
        """Add what is missing; existing keys stay as they are."""
        new = self._components.setdefault(component, {})
        changed: list[Path_] = []
        _fill(new, value, (), changed)
        self._save()
        return changed

    def reset(self, component: str, pointers: Iterable[str], defaults: Mapping[str, Any]) -> list[Path_]:
        """Remove what the JSON pointers name ("" for all), then add the defaults. Returns changed paths."""
        before = deepcopy(self._components.get(component, {}))
        tree = self._components.setdefault(component, {})
        for pointer in pointers:
            keys = keys_of(pointer)
            if not keys:
                tree.clear()
                continue
            parent: Node | Leaf | None = tree
            for key in keys[:-1]:
                parent = parent.get(key) if isinstance(parent, dict) else None
            if isinstance(parent, dict):
                parent.pop(keys[-1], None)
        _fill(tree, defaults, (), [])
        self._save()
        return _differences(before, tree)

    def remove(self, component: str) -> None:
        if self._components.pop(component, None) is not None:
            self._save()

    def dump(self) -> bytes:
        """As the file holds it."""
        return json.dumps(
            {name: _dump(node) for name, node in self._components.items()}, separators=(",", ":")
        ).encode()

    def _find(self, component: str, path: Sequence[str]) -> Node | Leaf:
        node: Node | Leaf = self._components[component]
        for key in path:
            if not isinstance(node, dict):
                raise KeyError(key)
            node = node[key]
        return node

    def _save(self, *, durable: bool = False) -> None:
        if self._path is None:
            return
        files.write(self._path, self.dump(), 0o600, durable=durable)


def keys_of(pointer: str) -> list[str]:
    """The keys of a JSON pointer (RFC 6901).

    >>> keys_of("/sources/a~1b")
    ['sources', 'a/b']
    """
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.strip("/").split("/") if part]


def _tree(value: Any, stamp: int) -> Node | Leaf:
    if isinstance(value, Mapping) and value:
        return {str(key): _tree(entry, stamp) for key, entry in value.items()}
    return Leaf({} if isinstance(value, Mapping) else value, stamp)


def _merge(target: Node, new: Node, path: Path_, changed: list[Path_], keep_newer: bool) -> None:
    for key, node in new.items():
        here = (*path, key)
        old = target.get(key)
        if old is not None and (isinstance(old, Leaf) or isinstance(node, Leaf)) and _newest(old) > _newest(node):
            if keep_newer:
                continue
            raise Stale(".".join(here))
        if isinstance(node, dict):
            if not isinstance(old, dict):
                old = target[key] = {}
            _merge(old, node, here, changed, keep_newer)
            continue
        if isinstance(old, dict) and node.value == {}:
            continue
        if old is None or _value(old) != node.value or type(_value(old)) is not type(node.value):
            changed.append(here)
        target[key] = node


def _fill(target: Node, defaults: Mapping[str, Any], path: Path_, changed: list[Path_]) -> None:
    for key, value in defaults.items():
        here, old = (*path, str(key)), target.get(str(key))
        if old is None:
            target[str(key)] = _tree(value, DEFAULT_TIME)
            changed.append(here)
        elif isinstance(value, Mapping) and isinstance(old, dict):
            _fill(old, value, here, changed)


def _value(node: Node | Leaf) -> Any:
    if isinstance(node, Leaf):
        return deepcopy(node.value)
    return {key: _value(entry) for key, entry in node.items()}


def _newest(node: Node | Leaf) -> int:
    if isinstance(node, Leaf):
        return node.time
    return max((_newest(entry) for entry in node.values()), default=0)


def _leaves(node: Node | Leaf, path: Path_ = ()) -> dict[Path_, Any]:
    if isinstance(node, Leaf):
        return {path: node.value}
    found: dict[Path_, Any] = {}
    for key, entry in node.items():
        found.update(_leaves(entry, (*path, key)))
    return found


def _differences(before: Node, after: Node) -> list[Path_]:
    old, new = _leaves(before), _leaves(after)
    return sorted(path for path in old.keys() | new.keys() if old.get(path, _NOTHING) != new.get(path, _NOTHING))


_NOTHING = object()


def _dump(node: Node | Leaf) -> Any:
    if isinstance(node, Leaf):
        return [node.time, node.value]
    return {key: _dump(entry) for key, entry in node.items()}


def _load(entry: Any) -> Any:
    if isinstance(entry, list):
        return Leaf(entry[1], int(entry[0]))
    return {key: _load(value) for key, value in entry.items()}
