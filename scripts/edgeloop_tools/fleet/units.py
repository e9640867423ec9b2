"""What of this checkout can be published: a recipe and its files per component, the umbrella last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.recipes import Requirement, Version

GDK_RECIPE_SIZE = 16_000
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "aarch64"}
"""A machine's name → its name in a recipe."""


@dataclass(slots=True)
class Unit:
    """recipe: as built, its Uri with GDK's placeholders. files: name → contents."""

    name: str
    recipe: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))


def units(words: Sequence[str], wheelhouses: Mapping[str, Path] | None = None) -> list[Unit]:
    """Those named by package, component or last part of the name (default: all), in the order of publishing.

    wheelhouses: machine → file that goes with Runtime.
    """
    from edgeloop.topics import short
    from edgeloop_tools.build import archive, model
    from edgeloop_tools.build.components import RUNTIME, UMBRELLA, chosen, declarations
    from edgeloop_tools.build.recipe import recipe, umbrella

    top = {UMBRELLA, short(UMBRELLA), UMBRELLA.rpartition(".")[2].lower()}
    others = [word for word in words if word not in top]
    found = []
    for declaration in chosen(others) if others or not words else []:
        files = {f"{declaration.package}.pyz": archive.pyz(declaration)}
        files |= {name: data for name, (data, _) in model.along(declaration).items()}
        unit = Unit(declaration.name, recipe(declaration), files)
        if declaration.name == RUNTIME:
            add_wheelhouses(unit, wheelhouses or {})
        found.append(unit)
    if not words or len(others) < len(words):
        found.append(Unit(UMBRELLA, umbrella(declarations())))
    if wheelhouses and RUNTIME not in [unit.name for unit in found]:
        raise EdgeloopError("a wheelhouse goes with Runtime", mend="name runtime too")
    return found


def add_wheelhouses(unit: Unit, wheelhouses: Mapping[str, Path]) -> None:
    """A manifest per machine that has a wheelhouse, before the one for all others."""
    from edgeloop_tools.build.recipe import URI

    (general,) = unit.recipe["Manifests"]
    special = []
    for machine, path in wheelhouses.items():
        name = f"wheelhouse-{machine}.zip"
        try:
            unit.files[name] = path.read_bytes()
        except OSError as error:
            raise EdgeloopError("cannot read the wheelhouse", where=str(path), why=error.strerror or "") from error
        manifest = deepcopy(general)
        manifest["Platform"] = {"os": "linux", "architecture": ARCHITECTURES[machine], "runtime": "*"}
        manifest["Artifacts"].append({"Uri": URI.format(file=name)})
        special.append(manifest)
    unit.recipe["Manifests"] = [*special, general]


def requirement_of(version: Version) -> str:
    """This version and what is compatible with it.

    >>> requirement_of(Version.parse("0.1.4")), requirement_of(Version.parse("2.3.0"))
    ('>=0.1.4 <0.2.0', '>=2.3.0 <3.0.0')
    """
    major, minor, _ = version.release
    return f">={version} <{f'0.{minor + 1}.0' if major == 0 else f'{major + 1}.0.0'}"


def at(unit: Unit, version: Version, published: Mapping[str, Version], *, pinned: bool) -> dict[str, Any]:
    """The recipe at this version. A requirement that the published versions do not meet is renewed; `pinned`: every
    one names exactly the published version, as the umbrella's do."""
    from edgeloop_tools.build.recipe import requirement

    recipe = deepcopy(unit.recipe)
    recipe["ComponentVersion"] = str(version)
    for name, line in recipe.get("ComponentDependencies", {}).items():
        there = published.get(name)
        if there and pinned:
            line["VersionRequirement"] = requirement(str(there))
        elif there and not Requirement.parse(line["VersionRequirement"]).holds(there):
            line["VersionRequirement"] = requirement_of(there)
    return recipe


def text_of(unit: Unit, recipe: dict[str, Any]) -> str:
    """Raises EdgeloopError above what GDK takes."""
    from edgeloop_tools.build.recipe import dump

    text = dump(recipe)
    if (size := len(text.encode())) > GDK_RECIPE_SIZE:
        raise EdgeloopError("the recipe is too large", where=unit.name, why=f"{size} B of at most {GDK_RECIPE_SIZE}")
    return text
