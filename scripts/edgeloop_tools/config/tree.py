"""YAML as a tree that knows the place of each value. Scalars stay text: what they mean is for the field's type to say.

Anchors, aliases and merge keys work; tags, further documents and keys given twice are errors. Size, depth and what
aliases expand to are bounded.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from edgeloop.errors import EdgeloopError
from edgeloop_tools.config.problems import LineErrors, Place, Problem

LARGEST: Final = 256 * 1024
"""Bytes of one file."""
DEEPEST: Final = 24
MOST: Final = 20_000
"""Values of one file, aliases expanded."""
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_JSON = re.compile(r"true|false|-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?(?:[eE][+-]?\d{1,2})?")

Content = dict[str, "Node"] | list["Node"] | str | None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """key: place of its key. plain: a scalar without quotes. size: values in it, itself too."""

    value: Content
    place: Place
    key: Place
    plain: bool = False
    size: int = 1

    def map(self) -> dict[str, Node]:
        """Its entries; none where it is no map."""
        return self.value if isinstance(self.value, dict) else {}

    def data(self, *, typed: bool = False) -> Any:
        """As plain Python: scalars as text, or (typed) numbers and booleans as JSON has them."""
        if isinstance(self.value, dict):
            return {key: node.data(typed=typed) for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.data(typed=typed) for node in self.value]
        if typed and self.plain and self.value is not None and _JSON.fullmatch(self.value):
            return json.loads(self.value)
        return self.value

    def find(self, path: str) -> tuple[Node, str, int]:
        """(deepest node on a dotted path, the rest of the path, steps taken). Keys may have dots in them."""
        node, rest, steps = self, path, 0
        while rest:
            step, rest_after = _step(node, rest)
            if step is None:
                break
            node, rest, steps = step, rest_after, steps + 1
        return node, rest, steps

    def leaves(self, path: str = "") -> Iterator[tuple[str, Node]]:
        """Everything in it that is no map with entries, by dotted path."""
        if isinstance(self.value, dict) and self.value:
            for key, node in self.value.items():
                yield from node.leaves(f"{path}.{key}" if path else key)
        else:
            yield path, self


def _step(node: Node, path: str) -> tuple[Node | None, str]:
    if isinstance(node.value, dict):
        keys = [k for k in node.value if path == k or path.startswith((f"{k}.", f"{k}["))]
        if keys:
            key = max(keys, key=len)
            return node.value[key], path[len(key) :].removeprefix(".")
    if isinstance(node.value, list) and (match := re.match(r"\[(\d+)\]\.?", path)) and int(match[1]) < len(node.value):
        return node.value[int(match[1])], path[match.end() :]
    return None, path


def read(path: Path) -> tuple[Node, list[Problem]]:
    """The tree of a file, and keys given twice. Raises EdgeloopError, LineErrors where it is no YAML."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or str(error)) from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> tuple[Node, list[Problem]]:
    """As read.

    >>> tree, _ = parse(b"site: north\\nrate: 010\\n", Path("line.yaml"))
    >>> tree.data(), str(tree.find("rate")[0].place)
    ({'site': 'north', 'rate': '010'}, 'line.yaml:2:7')
    """
    start = Place(path, 1, 1)
    if len(data) > LARGEST:
        raise _error(start, "the file is too large", f"{len(data)} bytes, at most {LARGEST}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(Place(path, line, 1), "no UTF-8", f"byte {data[error.start]:#04x}") from None
    try:
        return _Builder(text, path).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _at(path, mark)
        raise _error(place, "no YAML", error.problem or error.context or "") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _error(Place(path, line, 1), "no YAML", f"the character {chr(error.character)!r}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _error(start, "no YAML", str(error)) from None


def _error(place: Place, what: str, why: str = "", mend: str = "") -> LineErrors:
    return LineErrors([Problem(place, "", what, why, mend)])


def _at(path: Path, mark: Any) -> Place:
    return Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)


class _Builder:
    def __init__(self, text: str, path: Path) -> None:
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._path = path
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self._problems: list[Problem] = []

    def document(self) -> tuple[Node, list[Problem]]:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            raise _error(Place(self._path, 1, 1), "the file is empty", mend="begin with site and line")
        event = next(self._events)
        root = self._node(event, self._place(event), 0)
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            raise _error(self._place(after), "a second document", mend="one file has one document")
        if not isinstance(root.value, dict):
            raise _error(root.place, "a line is a map of settings", mend="begin with site and line")
        return root, self._problems

    def _place(self, event: yaml.Event) -> Place:
        return _at(self._path, event.start_mark)

    def _node(self, event: yaml.Event, key: Place, depth: int) -> Node:
        place = self._place(event)
        if depth > DEEPEST:
            raise _error(place, f"more than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            node = self._anchors.get(event.anchor or "")
            if node is None:
                raise _error(place, f"unknown alias *{event.anchor}")
            self._counted(node.size, place)
            return Node(node.value, node.place, key, node.plain, node.size)
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.tag is not None:
            raise _error(place, f"the tag {event.tag} is not taken", mend="leave it out")
        self._counted(1, place)
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "")
            text = None if plain and event.value in _NULL else str(event.value)
            node = Node(text, place, key, plain)
        elif isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(inner, self._place(inner), depth + 1))
            node = Node(items, place, key, size=1 + sum(item.size for item in items))
        else:
            entries = self._entries(depth)
            node = Node(entries, place, key, size=1 + sum(entry.size for entry in entries.values()))
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _counted(self, size: int, place: Place) -> None:
        self._count += size
        if self._count > MOST:
            raise _error(place, f"more than {MOST} values, aliases expanded")

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _error(place, "a key must be text")
            if event.tag is not None:
                raise _error(place, f"the tag {event.tag} is not taken", mend="leave it out")
            name = str(event.value)
            node = self._node(next(self._events), place, depth + 1)
            if name == "<<" and event.style in (None, ""):
                merged += node.value if isinstance(node.value, list) else [node]
            elif name in entries:
                first = entries[name].key.line
                self._problems.append(Problem(place, name, "key given twice", f"first in line {first}", "remove one"))
            else:
                entries[name] = node
        for source in merged:
            if not isinstance(source.value, dict):
                raise _error(source.key, "<< takes a map")
            entries = source.value | entries
        return entries


def layered(base: Node, over: Node, problems: list[Problem], path: str = "") -> Node:
    """Maps merged, all else replaced; null removes."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    entries = dict(base.value)
    for key, node in over.value.items():
        where = f"{path}.{key}" if path else key
        if node.value is None:
            if entries.pop(key, None) is None:
                problems.append(_nothing(node, where, key, base.value))
        elif key in entries:
            entries[key] = layered(entries[key], node, problems, where)
        else:
            entries[key] = node
    return Node(entries, base.place, base.key, size=1 + sum(entry.size for entry in entries.values()))


def _nothing(node: Node, where: str, key: str, known: Mapping[str, Node]) -> Problem:
    return Problem(node.key, where, "there is nothing to remove", mend=near(key, known), note=True)


def near(word: str, known: Mapping[str, Any] | set[str]) -> str:
    """A suggestion, or what there is.

    >>> near("pres1", {"press1", "saw"}), near("x", {"b", "a"})
    ("did you mean 'press1'?", 'known: a, b')
    """
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]!r}?"
    names = sorted(known)
    return f"known: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}" if names else "there is none"
