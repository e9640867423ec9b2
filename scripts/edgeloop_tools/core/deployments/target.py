"""What a deployment would make of the core, worked out before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeloop_tools.core import builtin
from edgeloop_tools.core.configuration import ConfigurationStore
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.deployments import limits
from edgeloop_tools.core.deployments.request import Request
from edgeloop_tools.core.interpolate import Names, interpolate
from edgeloop_tools.core.lifecycle import Plan
from edgeloop_tools.core.numbers import doubles
from edgeloop_tools.core.recipes import Recipe, RecipeError, Requirement, Version
from edgeloop_tools.core.resolve import resolve
from edgeloop_tools.core.store import ComponentStore, Source


@dataclass(slots=True)
class Target:
    """roots: component → requirement as text."""

    roots: dict[str, str]
    recipes: dict[str, Recipe]
    plans: dict[str, Plan]
    configuration: ConfigurationStore
    source: Source
    notes: list[str] = field(default_factory=list)


def prepare(
    request: Request,
    roots: Mapping[str, str],
    active: Mapping[str, Version],
    store: ComponentStore,
    configuration: ConfigurationStore,
    names: Names,
    work: Path,
) -> Target:
    """Raises EdgeloopError for everything that is wrong with the request, its recipes, artifacts and values."""
    wanted = _roots(request, roots)
    source = store.source(request.recipe_dir, request.artifact_dir)
    requirements = {name: requirement(text, name) for name, text in wanted.items()}
    kept = {name: version for name, version in active.items() if name not in request.components}
    recipes = resolve(requirements, source.versions, source.load, kept)
    for recipe in recipes.values():
        for artifact in recipe.artifacts:
            source.artifact(recipe, artifact)
    draft, notes = configuration.draft(), []
    configured = request.merge.keys() | request.reset.keys()
    for name in sorted(configured - recipes.keys()):
        raise ControlError(
            f"{name} is configured but not deployed", mend=f"deploy it too: --merge {name}=VERSION", code="invalid"
        )
    if names.nucleus == "lite":
        limits.check(request.components, request.merge)
    else:
        for name in sorted(configured - wanted.keys()):
            notes.append(f"the configuration of {name} is ignored, because it is no root component")
        configured &= wanted.keys()
    _configure(draft, request, configured, recipes, classic=names.nucleus == "classic")
    for name in draft.components():
        if name not in recipes:
            draft.remove(name)
    plans = _plans(recipes, draft, names, work)
    return Target(wanted, recipes, plans, draft, source, notes)


def requirement(text: str, where: str) -> Requirement:
    """A version stands for itself.

    >>> requirement("1.0.0", "").holds(Version.parse("1.0.1"))
    False
    """
    if text[:1].isdigit() and text.count(".") >= 2:
        return Requirement.exactly(Version.parse(text, where))
    return Requirement.parse(text, where)


def _roots(request: Request, roots: Mapping[str, str]) -> dict[str, str]:
    wanted = dict(roots)
    for name in request.remove:
        if name not in wanted:
            raise ControlError(
                f"cannot remove {name}",
                why="it is no root component",
                mend=f"roots are: {', '.join(sorted(wanted)) or 'none'}",
                code="invalid",
            )
        del wanted[name]
    return {**wanted, **request.components}


def _configure(
    draft: ConfigurationStore,
    request: Request,
    configured: set[str],
    recipes: Mapping[str, Recipe],
    *,
    classic: bool,
) -> None:
    for name in configured:
        if pointers := request.reset.get(name):
            draft.reset(name, pointers, {})
    for name, recipe in recipes.items():
        if name in configured and name in request.merge:
            merge = request.merge[name]
            draft.merge(name, doubles(dict(merge)) if classic else merge, (), keep_newer=True)
        draft.defaults(name, recipe.configuration)


def _plans(
    recipes: Mapping[str, Recipe], configuration: ConfigurationStore, names: Names, work: Path
) -> dict[str, Plan]:
    versions = {name: recipe.version for name, recipe in recipes.items()}
    values: dict[str, Any] = {name: configuration.get(name, ()) for name in recipes}
    return {name: _plan(recipe, versions, values, names, work) for name, recipe in recipes.items()}


def _plan(
    recipe: Recipe, versions: Mapping[str, Version], values: Mapping[str, Mapping[str, Any]], names: Names, work: Path
) -> Plan:
    lifecycle = recipe.lifecycle
    of = {
        kind: frozenset(name for name, entry in recipe.dependencies.items() if entry.type == kind)
        for kind in ("HARD", "SOFT")
    }

    def text(raw: str) -> str:
        return interpolate(raw, names, recipe.name, versions, values, set(recipe.dependencies))

    def texts(raw: Mapping[str, str]) -> dict[str, str]:
        return {key: text(value) for key, value in raw.items()}

    try:
        steps = {
            name: replace(
                step,
                script=text(step.script),
                setenv=texts(step.setenv),
                skip=replace(step.skip, argument=text(step.skip.argument)) if step.skip else None,
            )
            for name, step in lifecycle.steps.items()
        }
        setenv = texts(lifecycle.setenv)
    except RecipeError as error:
        raise RecipeError(error.what, where=str(recipe.path or recipe.name), why=error.why, mend=error.mend) from None
    return Plan(
        recipe.name,
        recipe.version,
        steps,
        setenv,
        of["HARD"],
        of["SOFT"],
        work / recipe.name,
        builtin=recipe.name in builtin.RECIPES and not steps,
        core=recipe.name in builtin.RECIPES,
    )
