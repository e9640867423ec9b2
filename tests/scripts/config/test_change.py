"""Merge and reset: applied to what was, they make what shall be, by the rules of a nucleus."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgeloop_tools.build import RECIPES, recipes
from edgeloop_tools.config import difference
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.outline import declared
from edgeloop_tools.config.render import previous, text
from edgeloop_tools.core.configuration import ConfigurationStore
from edgeloop_tools.core.deployments.limits import check as limits
from edgeloop_tools.core.recipes import parse

NUCLEI = ("classic", "lite")
DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    nucleus: {
        recipe.name: dict(recipe.configuration)
        for name, body in recipes().items()
        for recipe in [parse(body.encode(), RECIPES / name, nucleus)]  # type: ignore[arg-type]
    }
    for nucleus in NUCLEI
}
Configurations = dict[str, dict[str, Any]]


def deployed(nucleus: str, *steps: tuple[Configurations, dict[str, tuple[str, ...]]]) -> Configurations:
    """What a device has after deployments of (merge, reset), each as a nucleus does it: reset, merge, fill in."""
    store, names = ConfigurationStore(None), DEFAULTS[nucleus]
    for merge, reset in steps:
        for name in names.keys() | merge.keys():
            if name in reset:
                store.reset(name, reset[name], {})
            if name in merge:
                store.merge(name, merge[name], (), keep_newer=True)
            store.defaults(name, names.get(name, {}))
    return {name: store.get(name, ()) for name in names.keys() | set(store.components())}


def assert_same(nucleus: str, old: Configurations, new: Configurations) -> None:
    updates = difference(old, new)
    merge = {name: update.merge for name, update in updates.items()}
    reset = {name: update.reset for name, update in updates.items()}
    assert deployed(nucleus, (old, {}), (merge, reset)) == deployed(nucleus, ({n: {} for n in old}, {}), (new, {}))


_KEYS = st.sampled_from(["site", "sources", "monitors", "journal", "a", "b/c", "d~e", "budget", "f"])
_LEAVES = st.integers(-3, 3) | st.booleans() | st.sampled_from(["plant", "x", "1", ""]) | st.just(["p", "q"])
_MAPS = st.recursive(
    st.dictionaries(_KEYS, _LEAVES, min_size=1, max_size=4),
    lambda inner: st.dictionaries(_KEYS, _LEAVES | inner, min_size=1, max_size=4),
    max_leaves=10,
)
_NAMES = st.sampled_from(["io.edgeloop.SensorIngest", "io.edgeloop.StreamUpload", "com.example.Other"])
_CONFIGURATIONS = st.dictionaries(_NAMES, _MAPS, max_size=3)


def conflicting(configuration: Any, defaults: Any) -> bool:
    """Text where the recipe has settings, or settings where it has text: no component's type takes that."""
    if not isinstance(configuration, dict) or not isinstance(defaults, dict):
        return isinstance(configuration, dict) != isinstance(defaults, dict)
    return any(conflicting(configuration[key], defaults[key]) for key in configuration.keys() & defaults.keys())


@pytest.mark.parametrize("nucleus", NUCLEI)
@given(old=_CONFIGURATIONS, new=_CONFIGURATIONS)
def test_an_update_makes_of_any_configuration_any_other(nucleus: str, old: Configurations, new: Configurations) -> None:
    known = DEFAULTS[nucleus]
    assume(not any(conflicting(c.get(name, {}), known.get(name, {})) for c in (old, new) for name in known))
    assert_same(nucleus, old, new)


FULL = """
site: north
line: l1
sources:
  a: {type: simulator, seed: 1, faults: {first: 5 s}, actions: {stop: {range: 0..1}}}
  b: {type: simulator, seed: 2, queue: 1 MiB}
monitors:
  m1: {asset: a, input: a_vib, shaft: 30 Hz, bearing: {outer_race: 3.5}}
  m2: {asset: b, input: b_slow, range: {pressure: 0..9}}
rules: {r: {monitor: m1, source: a, target: stop}}
capture: {a_vib: {policy: all}}
upload: {bucket: some-bucket}
components: {SensorIngest: {tick: 100 ms}}
"""
CUTS = [
    ("  b: {type: simulator, seed: 2, queue: 1 MiB}\n", ""), ("queue: 1 MiB", "queue: 2 MiB"),
    (", faults: {first: 5 s}", ""),
    ("faults: {first: 5 s}", "faults: {}"), (", actions: {stop: {range: 0..1}}", ""), ("site: north", "site: south"),
    ("rules: {r: {monitor: m1, source: a, target: stop}}\n", ""), ("capture: {a_vib: {policy: all}}\n", ""),
    (", bearing: {outer_race: 3.5}", ", bearing: {inner_race: 5.4}"), ("tick: 100 ms", "journal: {sync: 20 ms}"),
    ("  m2: {asset: b, input: b_slow, range: {pressure: 0..9}}\n", ""), ("some-bucket", "other-bucket"),
    ("type: simulator, seed: 2, queue: 1 MiB", "type: replay, path: /x.csv"),
]  # fmt: skip
_CUTS = st.sets(st.sampled_from(range(len(CUTS))), max_size=6)


def cut(which: set[int]) -> str:
    body = FULL
    for number in sorted(which):
        body = body.replace(*CUTS[number])
    return body


@pytest.mark.parametrize("nucleus", NUCLEI)
@settings(max_examples=25)
@given(old=_CUTS, new=_CUTS)
def test_an_update_makes_of_any_line_any_other(nucleus: str, old: set[int], new: set[int]) -> None:
    before, after = rendered(cut(old)), rendered(cut(new))
    assert_same(nucleus, before, after)
    assert not difference(before, rendered(cut(old)))
    limits({}, {name: update.merge for name, update in difference(before, after).items()})


def rendered(body: str) -> Configurations:
    from edgeloop_tools.config.tree import parse as tree

    node, problems = tree(body.encode(), Path("line.yaml"))
    return Line(node, [Path("line.yaml")], problems).components()


def test_what_is_removed_is_reset_at_its_top(made: Callable[..., Line]) -> None:
    update = difference(made(FULL), made(cut({0, 5, 10})))
    assert update["io.edgeloop.SensorIngest"].reset == ("/sources/b",)
    assert update["io.edgeloop.AnomalyInference"].reset == ("/monitors/m2",)
    assert "io.edgeloop.CameraInference" not in update, "a line without cameras deploys none"


def test_another_order_and_other_words_change_nothing(made: Callable[..., Line]) -> None:
    other = FULL.replace("tick: 100 ms", "tick: 0.1 s").replace("shaft: 30 Hz", "shaft: 0.03 kHz")
    lines = other.splitlines(keepends=True)
    assert difference(made(FULL), made("".join([*lines[:3], *lines[12:], *lines[3:12]]))) == {}
    assert text(made(FULL).components()) == text(made(other).components())


def test_previous_may_be_what_a_device_has(made: Callable[..., Line], tmp_path: Path) -> None:
    """Neither defaults nor policies are reset; text of a number is the number."""
    file = tmp_path / "device.json"
    file.write_text(json.dumps(deployed("lite", (made(FULL).components(), {}))))
    assert difference(previous(file), made(FULL)) == {}
    updates = difference(previous(file), made(cut({0, 7, 10})))
    assert {name: update.reset for name, update in updates.items()} == {
        "io.edgeloop.AnomalyInference": ("/monitors/m2",), "io.edgeloop.SensorIngest": ("/sources/b",),
        "io.edgeloop.StreamUpload": ("/capture",),
    }  # fmt: skip


def test_previous_may_be_a_deployment(made: Callable[..., Line], tmp_path: Path) -> None:
    file = tmp_path / "deployment.json"
    components = {
        name: {"componentVersion": "0.1.0", "configurationUpdate": {"merge": json.dumps(merge)}}
        for name, merge in made(FULL).components().items()
    }
    components["aws.greengrass.Nucleus"] = {"componentVersion": "2.12.0"}
    file.write_text(json.dumps({"deploymentId": "x", "components": components}))
    assert difference(previous(file), made(FULL)) == {}
    file.write_text(json.dumps({name: {"MERGE": merge} for name, merge in made(FULL).components().items()}))
    assert difference(previous(file), made(FULL)) == {}


@pytest.mark.parametrize("content", ["[]", "{", '{"a": 5}', '{"a": {"merge": "{"}}', "[" * 100_000])
def test_previous_that_is_none(content: str, tmp_path: Path) -> None:
    from edgeloop.errors import EdgeloopError

    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(EdgeloopError, match="x.json"):
        previous(file)


def test_the_defaults_are_those_of_the_recipes() -> None:
    assert declared().keys() < DEFAULTS["classic"].keys()
