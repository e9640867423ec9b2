"""Recipes and artifacts of versions that nobody released: the same again, and ones that fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import yaml

Kind = Literal["same", "run fails", "install fails"]


def make(folder: Path, recipes: Path, artifacts: Path, component: str, version: str, kind: Kind) -> Path:
    """A folder with `recipes` and `artifacts` in which the component also exists at `version`."""
    out = folder / version
    shutil.copytree(recipes, out / "recipes")
    (source,) = recipes.glob(f"{component}-*.yaml")
    recipe: dict[str, Any] = yaml.safe_load(source.read_text())
    old = recipe["ComponentVersion"]
    recipe["ComponentVersion"] = version
    for manifest in recipe["Manifests"]:
        if kind == "run fails":
            manifest["Lifecycle"]["run"] = {"Script": "echo this version cannot run >&2; exit 1"}
        elif kind == "install fails":
            manifest["Lifecycle"]["install"] = {"Script": "echo this version cannot install >&2; exit 1", "Timeout": 60}
    (out / "recipes" / source.name).unlink()
    (out / "recipes" / f"{component}-{version}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    shutil.copytree(artifacts, out / "artifacts")
    shutil.copytree(artifacts / component / old, out / "artifacts" / component / version)
    for path in (folder, out, *out.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return out


def later(version: str, by: int) -> str:
    """
    >>> later("0.1.0", 1001)
    '0.1.1001'
    """
    major, minor, patch = version.split(".")
    return f"{major}.{minor}.{int(patch) + by}"
