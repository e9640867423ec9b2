"""Which version of which component a deployment runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from edgeloop_tools.core.recipes import Recipe, RecipeError, Requirement, Version

Versions = Callable[[str], Iterable[Version]]
Load = Callable[[str, Version], Recipe]


def resolve(
    roots: Mapping[str, Requirement], versions: Versions, load: Load, active: Mapping[str, Version] | None = None
) -> dict[str, Recipe]:
    """Every component of the closure, dependencies before dependants. An active version that satisfies all stays, else
    the highest is taken. Raises RecipeError: unknown component, versions that do not meet, a circle."""
    chosen: dict[str, Recipe] = {}
    for _ in range(1000):
        needs = _needs(roots, chosen)
        picked = {name: _pick(name, needs[name], versions, load, active or {}) for name in needs}
        if picked == chosen:
            return _ordered(chosen)
        chosen = picked
    raise RecipeError("the dependencies do not settle", where=", ".join(roots), mend="pin the versions")


def _needs(roots: Mapping[str, Requirement], chosen: Mapping[str, Recipe]) -> dict[str, dict[str, Requirement]]:
    """For every component reached from the roots: who requires what."""
    needs: dict[str, dict[str, Requirement]] = {name: {"the deployment": wish} for name, wish in roots.items()}
    queue = list(roots)
    seen = set(queue)
    while queue:
        name = queue.pop()
        if name not in chosen:
            continue
        for other, dependency in chosen[name].dependencies.items():
            needs.setdefault(other, {})[f"{name} {chosen[name].version}"] = dependency.requirement
            if other not in seen:
                seen.add(other)
                queue.append(other)
    return needs


def _pick(
    name: str, wishes: Mapping[str, Requirement], versions: Versions, load: Load, active: Mapping[str, Version]
) -> Recipe:
    there = sorted(versions(name), reverse=True)
    asked = "; ".join(f"{who} wants {wish}" for who, wish in wishes.items())
    if not there:
        raise RecipeError(
            f"there is no component {name}", why=asked, mend="give its recipe with --recipeDir, or correct the name"
        )
    fits = [version for version in there if all(wish.holds(version) for wish in wishes.values())]
    if not fits:
        raise RecipeError(
            f"no version of {name} fits",
            why=f"{asked}; there is {', '.join(map(str, there))}",
            mend="deploy a version that fits, or change the requirement",
        )
    best = active[name] if active.get(name) in fits else fits[0]
    recipe = load(name, best)
    if recipe.manifest is None:
        raise RecipeError(f"{name} {best} has no manifest for this machine", where=str(recipe.path or ""))
    return recipe


def _ordered(chosen: Mapping[str, Recipe]) -> dict[str, Recipe]:
    done: dict[str, Recipe] = {}
    path: list[str] = []

    def visit(name: str) -> None:
        if name in done:
            return
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise RecipeError("the dependencies go in a circle", where=circle, mend="remove one of them")
        path.append(name)
        for other in sorted(chosen[name].dependencies):
            visit(other)
        path.pop()
        done[name] = chosen[name]

    for name in sorted(chosen):
        visit(name)
    return done
