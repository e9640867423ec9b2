"""Reading recipes: what both nuclei take, and one line for what they do not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.recipes import Recipe, RecipeError, Skip, parse, read

GOOD: dict[str, Any] = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": "a.B",
    "ComponentVersion": "1.2.3",
    "ComponentDescription": "text",
    "ComponentConfiguration": {"DefaultConfiguration": {"rate": 5, "on": True}},
    "ComponentDependencies": {"a.C": {"VersionRequirement": ">=1.0.0 <2.0.0", "DependencyType": "SOFT"}},
    "Manifests": [
        {
            "Platform": {"os": "linux", "runtime": "*"},
            "Artifacts": [{"Uri": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/b.pyz"}],
            "Lifecycle": {
                "install": {"Script": "echo", "Timeout": 30},
                "run": {"Script": "exec {artifacts:path}/b.pyz --root {kernel:rootPath}", "Setenv": {"A": "1"}},
            },
        }
    ],
}
PATH = Path("a.B-1.2.3.yaml")


def changed(**changes: Any) -> dict[str, Any]:
    """GOOD with values put in at paths such as Manifests__0__Platform; None removes."""
    copy: dict[str, Any] = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        *keys, last = [int(key) if key.isdigit() else key for key in path.split("__")]
        place: Any = copy
        for key in keys:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return copy


def take(document: Any, nucleus: str, path: Path = PATH) -> Recipe:
    return parse(yaml.safe_dump(document).encode(), path, nucleus)


def test_a_recipe_for_both(nucleus: str) -> None:
    recipe = take(GOOD, nucleus)
    assert (recipe.name, str(recipe.version)) == ("a.B", "1.2.3")
    assert recipe.dependencies["a.C"].type == "SOFT"
    assert recipe.lifecycle.steps["install"].timeout == 30
    assert recipe.lifecycle.steps["run"].setenv == {"A": "1"}
    assert recipe.artifacts[0].file == "b.pyz"
    lite = nucleus == "lite"
    assert recipe.configuration == ({"rate": "5", "on": "true"} if lite else {"rate": 5, "on": True})


def test_json_keeps_its_types(nucleus: str) -> None:
    recipe = parse(json.dumps(GOOD).encode(), PATH.with_suffix(".json"), nucleus)
    assert recipe.configuration == {"rate": 5, "on": True}


def test_the_classic_nucleus_is_lenient() -> None:
    document = changed(
        Manifests__0__Platform={"os": "linux"},
        Manifests__0__Lifecycle={"Install": {"script": "x", "skipif": "onpath git"}, "RUN": "true", "shutdown": "y"},
        Manifests__0__Artifacts=[{"URI": "s3://b/x.zip", "unarchive": "zip", "permission": {"execute": "all"}}],
        ComponentDependencies={"a.C": {"versionRequirement": "^1.0.0"}},
    )
    recipe = take(document, "classic")
    assert recipe.lifecycle.steps.keys() == {"install", "run", "shutdown"}
    assert recipe.lifecycle.steps["install"].skip == Skip("onpath", "git")
    assert (recipe.artifacts[0].unarchive, recipe.artifacts[0].execute) == ("ZIP", "ALL")
    assert recipe.dependencies["a.C"].type == "HARD"


def test_the_first_manifest_that_fits_is_taken() -> None:
    windows = {"Platform": {"os": "windows"}, "Lifecycle": {"run": "no"}}
    document = changed(Manifests=[windows, {"Platform": {"os": "/lin.x|darwin/"}, "Lifecycle": {"run": "yes"}}])
    assert take(document, "classic").lifecycle.steps["run"].script == "yes"
    assert take(changed(Manifests=[windows]), "classic").manifest is None


BAD_FOR_BOTH = {
    "ComponentName it is missing; add ComponentName": changed(ComponentName=None),
    "'1.2' is no version": changed(ComponentVersion="1.2"),
    "ComponentName.*'a b'": changed(ComponentName="a b"),
    "RecipeFormatVersion.*'2019'": changed(RecipeFormatVersion="2019"),
    "expected a list, got a map": changed(Manifests={}),
    "Manifests.*missing": changed(Manifests=None),
    "'one week' is no number of seconds": changed(Manifests__0__Lifecycle__install__Timeout="one week"),
    "no component as root": changed(Manifests__0__Lifecycle__run__RequiresPrivilege=True),
    "'>> 1' is no version requirement": changed(ComponentDependencies={"x": {"VersionRequirement": ">> 1",
                                                                            "DependencyType": "HARD"}}),
    "Script it is missing": changed(Manifests__0__Lifecycle__run__Script=None),
    "'MAYBE' is none of SOFT, HARD": changed(ComponentDependencies={"x": {"VersionRequirement": ">=1.0.0",
                                                                         "DependencyType": "MAYBE"}}),
    "names no file": changed(Manifests__0__Artifacts__0__Uri="s3://b/c/"),
    r"name it a.B-1.2.4.yaml": changed(ComponentVersion="1.2.4"),
}


@pytest.mark.parametrize("line", BAD_FOR_BOTH)
def test_what_both_refuse(nucleus: str, line: str) -> None:
    with pytest.raises(RecipeError) as error:
        take(BAD_FOR_BOTH[line], nucleus)
    text = str(error.value).replace("):", "")
    assert "\n" not in text
    assert "a.B-1.2.3.yaml" in text
    assert re.search(line, text), text


BAD_FOR_LITE = {
    "Platform.os": changed(Manifests__0__Platform={"runtime": "*"}),
    "Platform.runtime": changed(Manifests__0__Platform={"os": "linux"}),
    "Uri": changed(Manifests__0__Artifacts=[{"URI": "s3://b/x"}]),
    "Unarchive": changed(Manifests__0__Artifacts__0__Unarchive="ZIP"),
    "write run": changed(Manifests__0__Lifecycle={"Run": {"Script": "x"}}),
    "has no such step": changed(Manifests__0__Lifecycle__shutdown={"Script": "x"}),
    "rename script": changed(Manifests__0__Lifecycle={"run": {"script": "x"}}),
    "cut the script off at": changed(Manifests__0__Lifecycle__run__Script="echo ${HOME}"),
    "cut the script off at '{a.C:work:path}'": changed(Manifests__0__Lifecycle__run__Script="ls {a.C:work:path}"),
    "needs a step that runs": changed(Manifests__0__Lifecycle={"install": {"Script": "x"}}),
    "does not read '\\^1.0.0'": changed(ComponentDependencies={"x": {"VersionRequirement": "^1.0.0",
                                                                    "DependencyType": "HARD"}}),
    "DependencyType": changed(ComponentDependencies={"x": {"VersionRequirement": ">=1.0.0"}}),
    "inside a manifest only": changed(Lifecycle={"run": {"Script": "x"}}),
    "8196": changed(ComponentDescription="x" * 8200),
    "Setenv.A.*expected text": changed(Manifests__0__Lifecycle__run__Setenv={"A": {"b": "c"}}),
}


@pytest.mark.parametrize("line", BAD_FOR_LITE)
def test_what_lite_refuses(line: str) -> None:
    with pytest.raises(RecipeError, match=line) as error:
        take(BAD_FOR_LITE[line], "lite")
    assert "\n" not in str(error.value)


def test_yaml_words_of_the_classic_nucleus() -> None:
    text = yaml.safe_dump(GOOD) + "Extra: x\n"
    text = text.replace("rate: 5", "rate: 5\n    day: 2024-01-01\n    switch: on")
    configuration = parse(text.encode(), PATH, "classic").configuration
    assert configuration == {"rate": 5, "on": True, "day": "2024-01-01", "switch": "on"}


@pytest.mark.parametrize("text", [b"\xff\xfe", b"a: [", b"a: b: c", b"", b"- a", b"&a [*a]", b"{" * 900, b"!!python/x"])
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_what_is_no_recipe_at_all(text: bytes, suffix: str, nucleus: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.B-1.2.3{suffix}"
    path.write_bytes(text)
    with pytest.raises(RecipeError, match="a.B-1.2.3") as error:
        read(path, nucleus)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(nucleus: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        read(tmp_path / "x-1.0.0.yaml", nucleus)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["Script", "run", "install", "Uri", "Platform", "os", "Lifecycle", "Artifacts", "Setenv", "Timeout", "x"]
    ), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(field=st.sampled_from(sorted(GOOD)), value=JSON, nucleus=st.sampled_from(["classic", "lite"]))
def test_any_document_is_a_recipe_or_one_line(field: str, value: Any, nucleus: str) -> None:
    document = {**GOOD, field: value}
    try:
        parse(json.dumps(document).encode(), PATH.with_suffix(".json"), nucleus)
    except EdgeloopError as error:
        assert "\n" not in str(error)  # noqa: PT017


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.sampled_from(["classic", "lite"]), st.sampled_from([".yaml", ".json"]))
def test_any_bytes_are_one_line(text: bytes, nucleus: str, suffix: str) -> None:
    with pytest.raises(EdgeloopError):
        parse(text, PATH.with_suffix(suffix), nucleus)
