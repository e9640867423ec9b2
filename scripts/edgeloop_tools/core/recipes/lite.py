"""What nucleus lite refuses in a recipe, or would misread."""

from __future__ import annotations

import re
from pathlib import Path

from edgeloop_tools.core.recipes.errors import RecipeError
from edgeloop_tools.core.recipes.fields import Fields
from edgeloop_tools.core.recipes.model import Artifact, Recipe

SIZE = 8196
"""Bytes of a recipe file."""

VARIABLES = (
    "artifacts:path", "artifacts:decompressedPath", "work:path", "kernel:rootPath", "iot:thingName",
)  # fmt: skip
_VARIABLE = re.compile("[{](" + "|".join(map(re.escape, VARIABLES)) + "|configuration:/[^{}]*)[}]")
_OPERATORS = re.compile(r"\s*((>=|<=|>|<|=)?\s*\d+\.\d+\.\d+([-+][\w.+-]+)?\s*)+", re.ASCII)


def check_size(text: bytes, path: Path) -> None:
    if len(text) > SIZE:
        raise RecipeError(
            "nucleus lite refuses the recipe",
            where=str(path),
            why=f"{len(text)} bytes, and it takes {SIZE}",
            mend="shorten its default configuration",
        )


def check_platform(platform: dict[str, str], manifest: Fields) -> None:
    for key, value in (("os", "linux"), ("runtime", '"*"')):
        if key not in platform:
            raise manifest.wrong(f"Platform.{key}", "nucleus lite needs it", f"write Platform with {key}: {value}")


def check_step(name: str, lifecycle: Fields) -> None:
    if name in ("install", "run", "startup"):
        return
    if name.lower() in ("install", "run", "startup"):
        raise lifecycle.wrong(name, "nucleus lite takes steps in lower case", f"write {name.lower()}")
    raise lifecycle.wrong(name, "nucleus lite has no such step", "use install and run")


def check_artifact(artifact: Artifact, entry: Fields) -> None:
    if artifact.unarchive != "NONE":
        raise entry.wrong("Unarchive", "nucleus lite does not unpack in local deployments", "ship files as they are")


def check(recipe: Recipe, top: Fields) -> None:
    for name, dependency in recipe.dependencies.items():
        if not _OPERATORS.fullmatch(dependency.requirement.text):
            raise top.wrong(
                f"ComponentDependencies.{name}.VersionRequirement",
                f"nucleus lite does not read {dependency.requirement.text!r}",
                "use >= > < <= =",
            )
    if recipe.manifest is None:
        raise top.wrong("Manifests", "none is for Linux")
    steps = recipe.lifecycle.steps
    if "run" not in steps and "startup" not in steps:
        raise top.wrong("Manifests[0].Lifecycle", "nucleus lite needs a step that runs", 'add run: {Script: "true"}')
    for name, step in steps.items():
        rest = _VARIABLE.sub("", step.script)
        if "{" in rest:
            cut = rest[rest.index("{") :][:20]
            raise top.wrong(
                f"Lifecycle.{name}.Script",
                f"nucleus lite would cut the script off at {cut!r}",
                f"use no braces but of {', '.join('{' + variable + '}' for variable in VARIABLES)}",
            )
