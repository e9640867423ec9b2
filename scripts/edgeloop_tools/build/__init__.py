"""What a device takes: `recipes/<component>-<version>.yaml`, and below `artifacts/<component>/<version>/` the archive
`<package>.pyz` and the default models that the component brings along."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.cli import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

ARTIFACTS = ROOT / "artifacts"
RECIPES = ROOT / "recipes"


@dataclass(frozen=True, slots=True)
class Built:
    """One artifact; size and limit in bytes."""

    component: str
    path: Path
    size: int
    limit: int


def build(components: Collection[str] | None = None, out: Path = ARTIFACTS) -> list[Built]:
    """Writes the artifacts of the named components (default: all) below `out`, in the layout the Greengrass CLI takes.

    Raises EdgeloopError before anything is written when one of them is no good.
    """
    from edgeloop_tools.build import archive, model
    from edgeloop_tools.build.components import chosen

    made: list[tuple[Built, bytes]] = []
    for declaration in chosen(components):
        folder = out / declaration.name / __version__
        files = [(f"{declaration.package}.pyz", archive.pyz(declaration), archive.LIMIT)]
        files += [(name, data, limit) for name, (data, limit) in model.along(declaration).items()]
        made += [(Built(declaration.name, folder / file, len(data), limit), data) for file, data, limit in files]
    for built, data in made:
        write(built.path, data)
    return [built for built, _ in made]


def recipes() -> dict[str, str]:
    """File name → text of every recipe, the umbrella's too."""
    from edgeloop_tools.build.components import declarations
    from edgeloop_tools.build.recipe import dump, recipe, umbrella

    known = declarations()
    documents = [*map(recipe, known), umbrella(known)]
    return {f"{each['ComponentName']}-{each['ComponentVersion']}.yaml": dump(each) for each in documents}


def generated() -> Iterator[tuple[Path, str]]:
    """Every generated file that is committed, with the text it should have."""
    from edgeloop_tools.build.components import declarations
    from edgeloop_tools.build.tables import filled, readme
    from edgeloop_tools.config import schema

    for name, text in recipes().items():
        yield RECIPES / name, text
    for declaration in declarations():
        if (table := filled(declaration)) is not None:
            yield readme(declaration), table
    yield schema.PATH, schema.schema_text()


def stale() -> list[Path]:
    """Generated files that are not what they should be, and recipes of nothing."""
    expected = dict(generated())
    wrong = [path for path, text in expected.items() if not path.is_file() or path.read_text() != text]
    return wrong + sorted(set(RECIPES.glob("*.yaml")) - set(expected))


def regenerate() -> list[Path]:
    """Writes what is stale and removes recipes of nothing; returns what changed."""
    expected = dict(generated())
    changed = stale()
    for path in changed:
        if path in expected:
            write(path, expected[path].encode())
        else:
            path.unlink()
    return changed


def write(path: Path, data: bytes) -> None:
    """Replaces the file in one step; leaves it alone when nothing changes."""
    try:
        if path.is_file() and path.read_bytes() == data:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_bytes(data)
        os.replace(fresh, path)
    except OSError as error:
        raise EdgeloopError("cannot write", where=str(path), why=error.strerror or str(error)) from error
