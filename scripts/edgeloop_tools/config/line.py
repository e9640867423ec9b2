"""A line.yaml as each component's configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from edgeloop import __version__
from edgeloop.config.identifiers import Id
from edgeloop.config.load import InvalidConfiguration, absent, convert
from edgeloop.config.schema import readable
from edgeloop.errors import ConfigurationError
from edgeloop.fleet.settings import misnamed
from edgeloop.log import redact
from edgeloop.optional import brought, least
from edgeloop.topics import samples_of
from edgeloop_tools.config.attempt import attempt, parts
from edgeloop_tools.config.grants import granted
from edgeloop_tools.config.outline import (
    CAMERA,
    INGEST,
    RUNTIME,
    SECTIONS,
    SENT,
    VIDEO,
    WATCHED,
    Outline,
    declared,
    full,
    with_site,
)
from edgeloop_tools.config.problems import LineErrors, Problem, ordered
from edgeloop_tools.config.profiles import CORE, needed
from edgeloop_tools.config.shape import describe, fitted, given
from edgeloop_tools.config.tree import Node, layered, near, read
from locks import nothing_here

IN_EDITOR = "correct it"


@dataclass(slots=True)
class Part:
    """One component's share: a tree of its configuration; origins: (path in it, path in the file), deepest first."""

    name: str
    tree: Node
    origins: list[tuple[str, str]] = field(default_factory=list)
    typed: Any = None
    merge: dict[str, Any] = field(default_factory=dict)


class Line:
    """What the files say, taken apart. `problems` has all that is wrong with it; then there is nothing to render."""

    def __init__(self, tree: Node, files: Sequence[Path], problems: Iterable[Problem] = ()) -> None:
        self.tree, self.files = tree, tuple(files)
        self._problems = list(problems)
        self.parts: dict[str, Part] = {}
        self.sources: dict[str, tuple[type[Any], Any]] = {}
        """Valid sources by id: (type, options)."""
        self.outline = self._outline()
        self._take_apart()
        for part in self.parts.values():
            self._convert(part)
        self._profiles()

    @property
    def site(self) -> str:
        return str(self.tree.map()["site"].value)

    @property
    def id(self) -> str:
        return str(self.tree.map()["line"].value)

    @property
    def plugins(self) -> str:
        """The folder of the line's own code; empty: none."""
        node = self.tree.map().get("plugins")
        return str(node.value) if node is not None and node.value else ""

    @property
    def problems(self) -> list[Problem]:
        """By file, line and column; notes last."""
        return ordered(self._problems)

    @property
    def notes(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.note]

    def raise_problems(self) -> None:
        """Raises LineErrors."""
        if any(not problem.note for problem in self._problems):
            raise LineErrors(self._problems)

    def components(self) -> dict[str, dict[str, Any]]:
        """Component → what a deployment merges. Raises LineErrors."""
        self.raise_problems()
        return granted({name: part.merge for name, part in sorted(self.parts.items()) if part.merge})

    def configured(self) -> dict[str, dict[str, Any]]:
        """`components` that the line says more of than where they are; of the others there is nothing to run."""
        return {name: merge for name, merge in self.components().items() if runs(name, merge)}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Component → this checkout's version, of ours that the line configures."""
        return {name: __version__ for name in self.components() if name in declared()}

    def add(
        self, where: str, what: str, why: str = "", mend: str = "", *, key: bool = False, note: bool = False
    ) -> None:
        """A problem at a path of the file."""
        node, rest, _ = self.tree.find(where)
        place = node.key if key or rest else node.place
        self._problems.append(Problem(place, where, what, why, mend, note))

    def forget(self, which: Callable[[Problem], bool]) -> None:
        """Drops problems that follow from another."""
        self._problems = [problem for problem in self._problems if not which(problem)]

    def located(self, component: str, path: str, origins: list[tuple[str, str]] | None = None) -> str:
        """The path in the file of a path in a component's configuration."""
        best, depth = path, -1
        for inner, outer in origins or self.parts[component].origins:
            if inner and path != inner and not path.startswith((f"{inner}.", f"{inner}[")):
                continue
            rest = path[len(inner) :].removeprefix(".")
            candidate = ".".join(filter(None, (outer, rest)))
            steps = self.tree.find(candidate)[2] - outer.count(".")
            if steps > depth or depth < 0:
                best, depth = candidate, steps
        return best

    # taking apart

    def _outline(self) -> Outline | None:
        try:
            return convert(self.tree.data(), Outline)
        except InvalidConfiguration as error:
            for each in error.errors:
                self.refused(each, each.where)
            return None

    def refused(self, error: ConfigurationError, where: str) -> None:
        """A problem at a path of the file, as a component would say it."""
        named = error.what in ("unknown key", "invalid key")
        node, rest, _ = self.tree.find(where)
        mend = IN_EDITOR if error.mend.startswith("correct it") else error.mend
        if not rest and node.map():
            where, node = _blamed(node, where, error.why)
        place = node.key if named and not rest else node.place
        self._problems.append(Problem(place, where, error.what, str(redact(error.why)), mend))

    def _take_apart(self) -> None:
        top = self.tree.map()
        sent = self._sent(top)
        if "site" in top:
            for name in with_site(top, bool(sent)):
                self._graft(name, ("site",), top["site"], "site")
        for name, section in SECTIONS.items():
            if name in top and isinstance(top[name].value, dict):
                blind = name == "fleet" and "cameras" in top and not any(each in top for each in WATCHED)
                self._graft(CAMERA if blind else section.component, section.path, top[name], name)
        for id, looked in top["cameras"].map().items() if "cameras" in top else ():
            told = looked.map().get("stream")
            if told is not None and told.data(typed=True) is True:
                self._graft(INGEST, ("sources", id), _counts(id, told), f"cameras.{id}.stream")
        sources = top["sources"].map() if "sources" in top else {}
        for source, node in top["actions"].map().items() if "actions" in top else ():
            if source not in sources:
                self.add(f"actions.{source}", "unknown source", mend=near(source, sources), key=True)
            elif isinstance(sources[source].value, dict):
                self._graft(INGEST, ("sources", source, "actions"), node, f"actions.{source}")
        for camera, key, node in sent:
            self._graft(VIDEO, ("cameras", camera, key), node, f"cameras.{camera}.{key}")
        for name, node in top["components"].map().items() if "components" in top else ():
            if not isinstance(node.value, dict):
                self.add(f"components.{name}", "invalid value", "it is no map of settings")
            else:
                self._graft(full(name), (), node, f"components.{name}")
        for name in [*self.parts] if "plugins" in top else ():
            if name in declared() and "plugins" in declared()[name].configuration.__struct_fields__:
                self._graft(name, ("plugins",), top["plugins"], "plugins")

    @staticmethod
    def _sent(top: Mapping[str, Node]) -> list[tuple[str, str, Node]]:
        """What of cameras VideoUpload has too: camera, setting, what it says."""
        cameras = top["cameras"].map() if "cameras" in top else {}
        return [
            (id, key, camera.map()[key])
            for id, camera in cameras.items() if not absent(camera.value)
            for key in SENT if key in camera.map() and not absent(camera.map()[key].value)
        ]  # fmt: skip

    def _graft(self, component: str, path: tuple[str, ...], node: Node, origin: str) -> None:
        if component not in self.parts:
            self.parts[component] = Part(component, Node({}, node.place, node.key))
        part = self.parts[component]
        part.origins.insert(0, (".".join(path), origin))
        for key in reversed(path):
            node = Node({key: node}, node.place, node.key)
        part.tree = self._joined(part.tree, node, part, "")

    def _joined(self, base: Node, more: Node, part: Part, path: str) -> Node:
        if not isinstance(base.value, dict) or not isinstance(more.value, dict):
            first = f"first in {base.place.file.name} line {base.place.line}"
            where = self.located(part.name, path, part.origins[:1])
            self._problems.append(Problem(more.place, where, "set twice", first, "remove one"))
            return base
        entries = dict(base.value)
        for key, node in more.value.items():
            known = entries.get(key)
            if node.value is None:
                continue
            if known is not None and known.value is not None:
                node = self._joined(known, node, part, f"{path}.{key}" if path else key)
            entries[key] = node
        return Node(entries, base.place, base.key)

    # typed

    def _convert(self, part: Part) -> None:
        if part.name not in declared():
            part.merge = part.tree.data(typed=True)
            return
        if "accessControl" in part.tree.map():
            where = self.located(part.name, "accessControl")
            self.add(where, "policies are the recipe's", mend="remove it", key=True)
        kind: Any = declared()[part.name].configuration
        data = fitted(part.tree, describe(kind))
        data.pop("accessControl", None)
        entries = self._entries(part) if part.name == INGEST else None
        if entries is not None:
            data = {**data, "sources": entries}
        tried = attempt(data, kind)
        part.typed = tried.usable
        for error in tried.errors:
            self._wrong(part, error)
        if not tried.errors:
            part.merge = given(readable(part.typed), data)
            if getattr(part.typed, "fleet", None) is not None:
                part.merge["fleet"] = {"findings": part.typed.fleet.findings, **part.merge.get("fleet", {})}
                for error in misnamed(part.typed.fleet, part.typed):
                    self.refused(error, self.located(part.name, error.where))

    def _wrong(self, part: Part, error: ConfigurationError) -> None:
        """A refusal at its place in the file, each entry that it names at its own."""
        found = [(f"{error.where}.{path}", why) for path, why in parts(error)]
        if found and all(not part.tree.find(path)[1] for path, _ in found):
            for path, why in found:
                self.refused(ConfigurationError(error.what, why=why, mend=error.mend), self.located(part.name, path))
        else:
            self.refused(error, self.located(part.name, error.where))

    def _entries(self, part: Part) -> dict[str, Any] | None:
        """Sources, each as the options of its type say; what does not fit is a problem and left out."""
        sources = part.tree.map().get("sources")
        if sources is None or not isinstance(sources.value, dict):
            return None
        registry = registered(self.plugins)
        result: dict[str, Any] = {}
        for id, node in sources.value.items():
            if absent(node.value):
                continue
            where = f"sources.{id}"
            try:
                convert({id: 1}, dict[Id, int], "sources")
                if not isinstance(node.value, dict):
                    raise ConfigurationError("invalid value", where=where, why="it is no map of settings")
                tag = node.map().get("type")
                if tag is not None and self.elsewhere(str(tag.data()), registry.names):
                    why = f"{tag.data()} is looked for in {self.plugins}, which is on the device alone"
                    mend = near(str(tag.data()), registry.names)
                    self.add(self.located(INGEST, f"{where}.type"), "a plug-in is not checked", why, mend, note=True)
                    result[id] = node.data(typed=True)
                    continue
                kind = registry.get(tag.data() if tag else None, f"{where}.type")
            except ConfigurationError as error:
                self.refused(error, self.located(INGEST, error.where))
                continue
            data = fitted(node, describe(kind.options))
            tried = attempt(data, kind.options, where)
            for each in tried.errors:
                self._wrong(part, each)
            if tried.errors:
                continue
            options = tried.value
            self.sources[id] = kind, options
            result[id] = given(readable(options), data)
        return result

    def elsewhere(self, type: str, known: Sequence[str]) -> bool:
        """Whether it is a plug-in's type that is on the device and not here: taken as it stands."""
        return Path(self.plugins).is_absolute() and not Path(self.plugins).is_dir() and type not in known

    def _profiles(self) -> None:
        """Where profiles are not given: those that the line needs."""
        reasons = needed(self.sources, {name: part.typed for name, part in self.parts.items()})
        part = self.parts.get(RUNTIME)
        if part is None:
            part = self.parts[RUNTIME] = Part(RUNTIME, Node({}, self.tree.place, self.tree.key), [("", "runtime")])
        words = str(part.merge.get("profiles", "")).split()
        if not words:
            part.merge = {**part.merge, "profiles": " ".join([CORE, *least(reasons)])}
            return
        where = self.located(RUNTIME, "profiles")
        if nothing := nothing_here([word.strip(",") for word in words], "aarch64"):
            self.add(where, "a profile is for x86_64 alone", nothing, note=True)
        for profile, reason in sorted(reasons.items()):
            if not brought(profile, words):
                mend = f"add {profile}, or leave profiles out"
                self.add(where, "a profile is missing", f"{reason} needs {profile}", mend)


def runs(name: str, merge: Mapping[str, Any]) -> bool:
    """Whether there is more to it than where it and its plug-ins are; an optional component is there only where its
    section is, be that empty."""
    return bool(merge.keys() - {"site", "plugins"}) or (name in declared() and declared()[name].optional)


def _counts(id: str, told: Node) -> Node:
    """The source that journals what a camera counts, as the stream `<camera>_counts`."""

    def made(value: Any) -> Node:
        inner = {key: made(each) for key, each in value.items()} if isinstance(value, dict) else value
        return Node(inner, told.place, told.key)

    return made({"type": "topic", "topics": {"counts": {"filter": samples_of(id), "stream": "counts", "time": "time"}}})


def _blamed(node: Node, where: str, why: str) -> tuple[str, Node]:
    """Of settings that are refused as a whole, the one whose value or name the refusal says."""
    for path, leaf in node.leaves(where):
        if isinstance(leaf.value, str) and leaf.value and repr(leaf.value) in why:
            return path, leaf
    for word in re.findall(r"[a-z_]+", why):
        if word in node.map():
            return f"{where}.{word}", node.map()[word]
    return where, node


def registered(plugins: str = "") -> Any:
    """The types of sources of this checkout, and of a folder of plug-ins."""
    from sensor_ingest.sources import Registry

    return Registry(lambda line: None, outside=plugins)


def load(path: Path | str, overlays: Iterable[Path | str] = ()) -> Line:
    """The line of a file with overlays on it, in order. `problems` says what is wrong with it.

    Raises EdgeloopError for a file that cannot be read or is no YAML.
    """
    files = [Path(path), *map(Path, overlays)]
    tree, problems = read(files[0])
    for file in files[1:]:
        over, more = read(file)
        problems += more
        tree = layered(tree, over, problems)
    return Line(tree, files, problems)


def effective(line: Line) -> dict[str, dict[str, Any]]:
    """Component → its whole configuration on a fresh device: recipe defaults below the line's merge."""
    from edgeloop_tools.build.recipe import recipe

    result = {}
    for name, merge in line.components().items():
        document = recipe(declared()[name]) if name in declared() else {}
        defaults = document.get("ComponentConfiguration", {}).get("DefaultConfiguration", {})
        result[name] = _over(defaults, merge)
    return result


def _over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        merged[key] = _over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


__all__ = ["Line", "Part", "effective", "load"]
