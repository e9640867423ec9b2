"""From a recipe file to a Recipe."""

from __future__ import annotations

import platform as this
import re
from pathlib import Path
from typing import Any, cast

from edgeloop_tools.core.recipes import documents, lite
from edgeloop_tools.core.recipes.errors import RecipeError
from edgeloop_tools.core.recipes.fields import Fields
from edgeloop_tools.core.recipes.model import (
    Artifact,
    DependencyType,
    Lifecycle,
    Manifest,
    Recipe,
    RecipeDependency,
    Skip,
    Step,
    StepName,
)
from edgeloop_tools.core.recipes.versions import Requirement, Version

FORMAT = "2020-01-25"
_NAME = re.compile(r"[a-zA-Z0-9-_.]{1,128}", re.ASCII)
_STEPS = ("install", "startup", "run", "shutdown", "recover")
_SIZE = 1 << 20
"""Bytes of the longest recipe that is read at all."""


def read(path: Path, nucleus: str) -> Recipe:
    """The recipe in a file. Raises RecipeError: one line that names file, field, reason and mend."""
    try:
        if path.stat().st_size > _SIZE:
            raise RecipeError("the recipe is too long", where=str(path), why=f"more than {_SIZE} bytes")
        text = path.read_bytes()
    except OSError as error:
        raise RecipeError("cannot read the recipe", where=str(path), why=error.strerror or str(error)) from None
    return parse(text, path, nucleus)


def parse(text: bytes, path: Path, nucleus: str) -> Recipe:
    strict = nucleus == "lite"
    if strict:
        lite.check_size(text, path)
    top = Fields(documents.load(text, path, lite=strict), str(path), "", strict=strict)
    if top.text("RecipeFormatVersion") != FORMAT:
        raise top.wrong("RecipeFormatVersion", f"{top.text('RecipeFormatVersion')!r} is unknown", f"write '{FORMAT}'")
    name = top.text("ComponentName")
    if not _NAME.fullmatch(name):
        raise top.wrong("ComponentName", f"{name!r} has other characters than letters, digits, - _ .")
    recipe = Recipe(
        name=name,
        version=Version.parse(top.text("ComponentVersion"), top.where("ComponentVersion")),
        dependencies=_dependencies(top, strict),
        configuration=_configuration(top),
        manifest=_manifest(top, strict),
        description=top.text("ComponentDescription", ""),
        publisher=top.text("ComponentPublisher", ""),
        path=path,
        text=text,
    )
    _check_file_name(recipe, path)
    if strict:
        lite.check(recipe, top)
    return recipe


def _check_file_name(recipe: Recipe, path: Path) -> None:
    expected = f"{recipe.name}-{recipe.version}"
    if path.stem != expected:
        raise RecipeError(
            "the recipe's file has another name than its component",
            where=str(path),
            why=f"it holds {recipe.name} {recipe.version}",
            mend=f"name it {expected}{path.suffix}",
        )


def _dependencies(top: Fields, strict: bool) -> dict[str, RecipeDependency]:
    found: dict[str, RecipeDependency] = {}
    section = top.fields("ComponentDependencies")
    for name in sorted(section.names) if section else ():
        entry = section.fields(name) if section else None
        if entry is None:
            raise top.wrong(
                f"ComponentDependencies.{name}", "it is empty", "give VersionRequirement and DependencyType"
            )
        where = entry.where("VersionRequirement")
        requirement = Requirement.parse(entry.text("VersionRequirement", None if strict else ">=0.0.0"), where)
        kind = entry.word("DependencyType", ("SOFT", "HARD"), "" if strict else "HARD")
        found[name] = RecipeDependency(requirement, cast(DependencyType, kind))
    return found


def _configuration(top: Fields) -> dict[str, Any]:
    section = top.fields("ComponentConfiguration")
    value = section.get("DefaultConfiguration") if section else None
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise top.wrong("ComponentConfiguration.DefaultConfiguration", "it is no map")
    return value


def _manifest(top: Fields, strict: bool) -> Manifest | None:
    manifests = top.items("Manifests")
    shared = top.fields("Lifecycle")
    if strict and shared is not None:
        raise top.wrong(
            "Lifecycle", "nucleus lite takes a lifecycle inside a manifest only", "move it into the manifest"
        )
    if not manifests:
        if shared is None:
            raise top.wrong("Manifests", "it is missing", "add a manifest with a Lifecycle")
        return Manifest({}, _lifecycle(shared, strict), ())
    for manifest in manifests:
        platform = manifest.texts("Platform")
        if strict:
            lite.check_platform(platform, manifest)
        if not _fits(platform):
            continue
        section = manifest.fields("Lifecycle") or shared
        lifecycle = _lifecycle(section, strict) if section else Lifecycle({})
        return Manifest(platform, lifecycle, tuple(_artifact(entry, strict) for entry in manifest.items("Artifacts")))
    return None


def _fits(platform: dict[str, str]) -> bool:
    machine = this.machine().lower()
    mine = {"os": {"linux"}, "architecture": {machine, {"x86_64": "amd64", "arm64": "aarch64"}.get(machine, machine)}}
    for key, wanted in platform.items():
        key = key.lower()
        if key not in mine or wanted in ("*", "all", "any"):
            continue
        pattern = wanted[1:-1] if wanted.startswith("/") and wanted.endswith("/") else re.escape(wanted)
        if not any(re.fullmatch(pattern, value, re.IGNORECASE) for value in mine[key]):
            return False
    return True


def _lifecycle(section: Fields, strict: bool) -> Lifecycle:
    steps: dict[StepName, Step] = {}
    for name in sorted(section.names):
        step = name if strict else name.lower()
        if step.lower() == "setenv":
            continue
        if strict:
            lite.check_step(step, section)
        elif step not in _STEPS:
            raise section.wrong(
                name,
                f"the local core has no step {name}" if step == "bootstrap" else "it is no step of a lifecycle",
                f"use {', '.join(_STEPS)}",
            )
        steps[cast(StepName, step)] = _step(section, name, strict)
    return Lifecycle(steps, section.texts("Setenv"))


def _step(section: Fields, name: str, strict: bool) -> Step:
    value = section.get(name)
    if isinstance(value, str) and not strict:
        return Step(value)
    fields = section.fields(name)
    if fields is None:
        raise section.wrong(name, "it is empty", "give it a Script")
    if (fields.get("RequiresPrivilege") or "false") not in (False, "false", "False", "FALSE"):
        raise fields.wrong("RequiresPrivilege", "the local core runs no component as root", "remove it")
    return Step(fields.text("Script"), fields.number("Timeout"), fields.texts("Setenv"), _skip(fields))


def _skip(fields: Fields) -> Skip | None:
    text = fields.text("Skipif", "")
    if not text:
        return None
    kind, _, argument = text.partition(" ")
    if kind == "onpath" and argument:
        return Skip("onpath", argument.strip())
    if kind == "exists" and argument:
        return Skip("exists", argument.strip())
    raise fields.wrong("Skipif", f"{text!r} is neither `onpath PROGRAM` nor `exists FILE`")


def _artifact(entry: Fields, strict: bool) -> Artifact:
    permission = entry.fields("Permission")
    rights = ("NONE", "OWNER", "ALL")
    artifact = Artifact(
        uri=entry.text("Uri"),
        digest=entry.text("Digest", ""),
        unarchive=cast(Any, entry.word("Unarchive", ("NONE", "ZIP"), "NONE")),
        read=cast(Any, permission.word("Read", rights, "OWNER") if permission else "OWNER"),
        execute=cast(Any, permission.word("Execute", rights, "NONE") if permission else "NONE"),
    )
    if not artifact.file or artifact.file in (".", ".."):
        raise entry.wrong("Uri", f"{artifact.uri!r} names no file")
    if strict:
        lite.check_artifact(artifact, entry)
    return artifact
