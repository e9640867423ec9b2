"""Versions, requirements, the closure of a deployment, and recipe variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop_tools.core.interpolate import Names, interpolate
from edgeloop_tools.core.recipes import (
    Lifecycle,
    Manifest,
    Recipe,
    RecipeDependency,
    RecipeError,
    Requirement,
    Version,
)
from edgeloop_tools.core.resolve import resolve


@pytest.mark.parametrize(("text", "holds", "fails"), [
    ("1.2.3", "1.2.3", "1.2.4 1.2.2"),
    ("=1.2.3", "1.2.3", "1.2.4"),
    (">=1.0.0 <2.0.0", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    (">=1.0.0,<2.0.0", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    (">= 1.0.0", "1.0.0 7.0.0", "0.9.9"),
    ("<=1.0", "1.0.9 0.1.0", "1.1.0"),
    (">1.0", "1.1.0", "1.0.9"),
    ("^1.2.0", "1.2.0 1.9.0", "2.0.0 1.1.9"),
    ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.3.0"),
    ("1.x", "1.0.0 1.9.9", "2.0.0"),
    ("1.2", "1.2.0 1.2.9", "1.3.0"),
    ("*", "0.0.0 9.9.9", ""),
    ("1.0.0 || >=3.0.0", "1.0.0 3.1.0", "2.0.0"),
])  # fmt: skip
def test_requirements(text: str, holds: str, fails: str) -> None:
    requirement = Requirement.parse(text)
    assert all(requirement.holds(Version.parse(version)) for version in holds.split())
    assert not any(requirement.holds(Version.parse(version)) for version in fails.split())


def test_pre_releases_come_before_their_release() -> None:
    ordered = ["1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-beta", "1.0.0-rc.1", "1.0.0", "1.0.1"]
    versions = [Version.parse(text) for text in ordered]
    assert sorted(versions, key=lambda version: version) == versions
    assert max(versions[:-1]) == versions[-2]


@settings(deadline=None, max_examples=200)
@given(st.text(alphabet="0123456789.<>=^~ |xX*v-+ab", max_size=20))
def test_any_text_is_a_requirement_or_one_line(text: str) -> None:
    try:
        Requirement.parse(text).holds(Version((1, 2, 3)))
    except RecipeError as error:
        assert "\n" not in str(error)  # noqa: PT017


class Shelf:
    """Recipes by name and version: `add("a", "1.0.0", b=">=1.0.0")`."""

    def __init__(self) -> None:
        self.recipes: dict[str, dict[Version, Recipe]] = {}

    def add(self, name: str, version: str, **needs: str) -> Shelf:
        dependencies = {other: RecipeDependency(Requirement.parse(text)) for other, text in needs.items()}
        parsed = Version.parse(version)
        recipe = Recipe(name, parsed, dependencies, {}, Manifest({}, Lifecycle({}), ()))
        self.recipes.setdefault(name, {})[parsed] = recipe
        return self

    def resolve(self, active: dict[str, str] | None = None, **roots: str) -> dict[str, str]:
        found = resolve(
            {name: Requirement.parse(text) for name, text in roots.items()},
            lambda name: self.recipes.get(name, {}), lambda name, version: self.recipes[name][version],
            {name: Version.parse(text) for name, text in (active or {}).items()},
        )
        return {name: str(recipe.version) for name, recipe in found.items()}


def test_dependencies_come_first_and_the_highest_fits() -> None:
    shelf = Shelf().add("a", "1.0.0", b=">=1.0.0 <2.0.0").add("b", "1.0.0").add("b", "1.10.0", c="*").add("b", "2.0.0")
    shelf.add("c", "1.0.0")
    assert list(shelf.resolve(a="1.0.0").items()) == [("c", "1.0.0"), ("b", "1.10.0"), ("a", "1.0.0")]


def test_an_active_version_that_fits_stays() -> None:
    shelf = Shelf().add("a", "1.0.0", b=">=1.0.0").add("b", "1.0.0").add("b", "2.0.0")
    assert shelf.resolve(active={"b": "1.0.0"}, a="*")["b"] == "1.0.0"
    assert shelf.resolve(active={"b": "0.5.0"}, a="*")["b"] == "2.0.0"


def test_all_requirements_meet() -> None:
    shelf = Shelf().add("a", "1.0.0", c="<2.0.0").add("b", "1.0.0", c=">=1.5.0").add("c", "1.0.0").add("c", "1.5.0")
    shelf.add("c", "2.0.0")
    assert shelf.resolve(a="*", b="*")["c"] == "1.5.0"


@pytest.mark.parametrize(("shelf", "line"), [
    (Shelf(), "there is no component a: the deployment wants"),
    (Shelf().add("a", "1.0.0", b="*"), "there is no component b: a 1.0.0 wants"),
    (Shelf().add("a", "1.0.0", b=">=2.0.0").add("b", "1.0.0"), "no version of b fits.*a 1.0.0 wants >=2.0.0.*1.0.0"),
    (Shelf().add("a", "1.0.0", b="*").add("b", "1.0.0", c="*").add("c", "1.0.0", a="*"), "circle.*a → b → c → a"),
    (Shelf().add("a", "1.0.0", a="*"), "circle.*a → a"),
])  # fmt: skip
def test_what_cannot_be_resolved_is_one_line(shelf: Shelf, line: str) -> None:
    with pytest.raises(RecipeError, match=line) as error:
        shelf.resolve(a="*")
    assert "\n" not in str(error.value)


VERSIONS = {"a.B": Version((1, 2, 3)), "a.C": Version((4, 0, 0))}


def variables(text: str, nucleus: str = "classic") -> str:
    names = Names(Path("/r"), "thing", nucleus)
    configurations: dict[str, dict[str, Any]] = {"a.B": {"x": {"y": "text", "n": [1, 2]}}, "a.C": {"port": 5}}
    return interpolate(text, names, "a.B", VERSIONS, configurations, {"a.C"})


@pytest.mark.parametrize(("text", "classic", "lite"), [
    ("{artifacts:path}/x", "/r/packages/artifacts/a.B/1.2.3/x", "/r/packages/artifacts/a.B/1.2.3//x"),
    ("{work:path}", "/r/work/a.B", "/r/work/a.B/"),
    ("{kernel:rootPath}/{iot:thingName}", "/r/thing", "/r/thing"),
    ("{configuration:/x/y} {configuration:/x/n}", "text [1, 2]", "text [1, 2]"),
])  # fmt: skip
def test_variables(text: str, classic: str, lite: str) -> None:
    assert variables(text) == classic
    assert variables(text, "lite") == lite


def test_variables_of_dependencies_are_for_the_classic_nucleus() -> None:
    assert variables("{a.C:configuration:/port} {a.C:work:path}") == "5 /r/work/a.C"
    with pytest.raises(RecipeError, match="other components"):
        variables("{a.C:work:path}", "lite")
    with pytest.raises(RecipeError, match="no dependency"):
        variables("{a.D:work:path}")


def test_other_braces_stay_and_unknown_values_are_refused() -> None:
    assert variables("awk '{print $1}' ${HOME} {x}") == "awk '{print $1}' ${HOME} {x}"
    with pytest.raises(RecipeError, match=r"\{configuration:/no\} stands for nothing"):
        variables("{configuration:/no}")
