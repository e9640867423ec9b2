"""A recipe with the line of each of its values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edgeloop.errors import EdgeloopError
from edgeloop_tools.lint import Finding

Where = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """lines: path of keys and positions → line. duplicates: paths of keys given twice."""

    path: Path
    text: str
    value: dict[str, Any]
    lines: dict[Where, int] = field(default_factory=dict)
    duplicates: tuple[Where, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Document | Finding:
        """The document, or why it is none."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise EdgeloopError("cannot read the recipe", where=str(path), why=str(error)) from error
        try:
            if path.suffix == ".json":
                json.loads(text)
            node = yaml.compose(text, yaml.SafeLoader)
            value = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            return Finding(path, mark.line + 1 if mark else 1, "syntax", f"no YAML: {error.problem}")
        except yaml.YAMLError as error:
            line = text.count("\n", 0, getattr(error, "position", 0)) + 1
            return Finding(path, line, "syntax", f"no YAML: {' '.join(str(error).split())}")
        except ValueError as error:
            return Finding(path, getattr(error, "lineno", 1), "syntax", f"no JSON: {error}")
        if not isinstance(value, dict) or node is None:
            return Finding(path, 1, "syntax", "a recipe is a map")
        lines: dict[Where, int] = {}
        duplicates: list[Where] = []
        _walk(node, (), lines, duplicates)
        return cls(path, text, value, lines, tuple(duplicates))

    def line(self, where: Where) -> int:
        while where not in self.lines and where:
            where = where[:-1]
        return self.lines.get(where, 1)

    def line_of(self, field: str) -> int:
        """The line of `Manifests[0].Lifecycle.run`, of the deepest part of it that is there, or of what ends so."""
        best, line = 0, 1
        for where, number in self.lines.items():
            dotted = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)[1:]
            if dotted == field or dotted.endswith("." + field):
                return number
            if len(dotted) > best and field.startswith((dotted + ".", dotted + "[")):
                best, line = len(dotted), number
        return line

    def finding(self, where: Where, rule: str, what: str, mend: str = "") -> Finding:
        return Finding(self.path, self.line(where), rule, what, mend)

    def get(self, *where: str | int) -> Any:
        """The value there, None where there is none."""
        value: Any = self.value
        for part in where:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    @property
    def name(self) -> str:
        return str(self.get("ComponentName") or "")

    @property
    def version(self) -> str:
        return str(self.get("ComponentVersion") or "")

    @property
    def defaults(self) -> dict[str, Any]:
        value = self.get("ComponentConfiguration", "DefaultConfiguration")
        return value if isinstance(value, dict) else {}

    @property
    def dependencies(self) -> dict[str, dict[str, Any]]:
        value = self.get("ComponentDependencies")
        return {k: v for k, v in value.items() if isinstance(v, dict)} if isinstance(value, dict) else {}

    def manifests(self) -> Iterator[tuple[Where, dict[str, Any]]]:
        entries = self.get("Manifests")
        for number, manifest in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(manifest, dict):
                yield ("Manifests", number), manifest

    def steps(self) -> Iterator[tuple[Where, str, dict[str, Any]]]:
        """(where, name, step) of every step of every manifest, a bare text as a step with that script."""
        for where, manifest in self.manifests():
            lifecycle = manifest.get("Lifecycle")
            for name, step in lifecycle.items() if isinstance(lifecycle, dict) else ():
                if name.lower() != "setenv":
                    given = step if isinstance(step, dict) else {"Script": step}
                    yield (*where, "Lifecycle", name), name, given

    def policies(self) -> Iterator[tuple[Where, str, str, dict[str, Any]]]:
        """(where, service, policy id, policy)."""
        services = self.defaults.get("accessControl")
        top: Where = ("ComponentConfiguration", "DefaultConfiguration", "accessControl")
        for service, policies in services.items() if isinstance(services, dict) else ():
            for name, policy in policies.items() if isinstance(policies, dict) else ():
                yield (*top, service, name), service, name, policy if isinstance(policy, dict) else {}


def _walk(node: yaml.Node, where: Where, lines: dict[Where, int], duplicates: list[Where]) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*where, str(key.value))
            if inner in lines:
                duplicates.append(inner)
            lines[inner] = key.start_mark.line + 1
            _walk(value, inner, lines, duplicates)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            _walk(value, (*where, number), lines, duplicates)
