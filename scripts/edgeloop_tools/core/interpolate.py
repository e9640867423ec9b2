"""Recipe variables: `{artifacts:path}`, `{configuration:/a/b}`, `{other.Component:work:path}`, …"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop_tools.core.recipes import RecipeError, Version

_VARIABLE = re.compile(r"\{(?:([\w.-]+):)?(artifacts|work|kernel|iot|configuration):([^:{}\s]+)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Names:
    """What the variables of one nucleus stand for. lite ends folders of components with a slash."""

    root: Path
    thing_name: str
    nucleus: str

    def value(
        self, kind: str, key: str, component: str, version: Version, configuration: Mapping[str, Any]
    ) -> str | None:
        end = "/" if self.nucleus == "lite" else ""
        match kind, key:
            case "artifacts", "path":
                return f"{self.root}/packages/artifacts/{component}/{version}{end}"
            case "artifacts", "decompressedPath":
                return f"{self.root}/packages/artifacts-unarchived/{component}/{version}{end}"
            case "work", "path":
                return f"{self.root}/work/{component}{end}"
            case "kernel", "rootPath":
                return str(self.root)
            case "iot", "thingName":
                return self.thing_name
            case "configuration", pointer:
                return _pointed(configuration, pointer)
        return None


def interpolate(
    text: str,
    names: Names,
    component: str,
    versions: Mapping[str, Version],
    configurations: Mapping[str, Mapping[str, Any]],
    dependencies: frozenset[str] | set[str] = frozenset(),
) -> str:
    """`text` with its variables replaced; braces that are no variable stay. Raises RecipeError for a variable that
    names nothing (a nucleus would leave it, or on lite cut the script off)."""

    def replace(match: re.Match[str]) -> str:
        other, kind, key = match.groups()
        owner = other or component
        if other and (names.nucleus == "lite" or other not in dependencies or other not in versions):
            why = "nucleus lite has no variables of other components" if names.nucleus == "lite" else "no dependency"
            raise _unknown(match[0], component, why)
        value = names.value(kind, key, owner, versions[owner], configurations.get(owner, {}))
        if value is None:
            raise _unknown(match[0], component, "there is no such value")
        return value

    return _VARIABLE.sub(replace, text)


def _unknown(variable: str, component: str, why: str) -> RecipeError:
    return RecipeError(f"{variable} stands for nothing", where=f"recipe of {component}", why=why)


def _pointed(configuration: Mapping[str, Any], pointer: str) -> str | None:
    value: Any = configuration
    for part in pointer.strip("/").split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value if isinstance(value, str) else json.dumps(value)
