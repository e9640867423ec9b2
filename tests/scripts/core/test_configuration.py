"""The configuration store: times, merges, resets, crashes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.configuration import ConfigurationStore, Stale


@pytest.fixture
def store(tmp_path: Path) -> ConfigurationStore:
    return ConfigurationStore(tmp_path / "configuration.json")


def test_defaults_never_overwrite(store: ConfigurationStore) -> None:
    store.defaults("a", {"rate": 5, "deep": {"x": 1}})
    assert store.time("a", ()) == 1
    assert store.defaults("a", {"rate": 6, "deep": {"x": 2, "y": 3}, "new": []}) == [("deep", "y"), ("new",)]
    assert store.get("a", ()) == {"rate": 5, "deep": {"x": 1, "y": 3}, "new": []}


def test_merge_replaces_leaves_and_keeps_the_rest(store: ConfigurationStore) -> None:
    store.defaults("a", {"rate": 5, "list": [1, 2], "deep": {"x": 1, "y": 2}})
    changed = store.merge("a", {"list": [3], "deep": {"x": {"z": 1}}, "rate": 5}, ())
    assert changed == [("list",), ("deep", "x", "z")]
    assert store.get("a", ()) == {"rate": 5, "list": [3], "deep": {"x": {"z": 1}, "y": 2}}
    assert store.merge("a", True, ("deep", "y")) == [("deep", "y")]
    assert store.merge("a", {"deep": 1}, ()) == [("deep",)]
    with pytest.raises(ValueError, match="map"):
        store.merge("a", 5, ())


def test_what_is_newer_stays(store: ConfigurationStore) -> None:
    now = int(time.time() * 1000)
    store.merge("a", {"x": 1, "y": {"z": 1}}, (), now)
    for update in ({"x": 2}, {"y": 2}, {"y": {"z": 2}}, {"x": {"deep": 1}}, {"new": 1, "x": 2}):
        with pytest.raises(Stale):
            store.merge("a", update, (), now - 1)
    assert store.get("a", ()) == {"x": 1, "y": {"z": 1}}
    assert store.merge("a", {"x": 2, "new": 1}, (), now - 1, keep_newer=True) == [("new",)]
    assert store.merge("a", {"x": 2}, (), now) == [("x",)]


def test_reset_goes_back_to_the_defaults(store: ConfigurationStore) -> None:
    defaults = {"rate": 5, "sources": {"a": 1}}
    store.defaults("c", defaults)
    store.merge("c", {"rate": 7, "sources": {"a": 2, "b/c": 3}, "own": 1}, ())
    assert store.reset("c", ["/sources/b~1c", "/rate", "/nothing/there"], defaults) == [("rate",), ("sources", "b/c")]
    assert store.get("c", ()) == {"rate": 5, "sources": {"a": 2}, "own": 1}
    store.reset("c", [""], defaults)
    assert store.get("c", ()) == defaults


def test_an_update_is_on_disk_at_once(store: ConfigurationStore, tmp_path: Path) -> None:
    store.merge("a", {"x": {"y": [1, {"z": None}]}}, (), 5)
    again = ConfigurationStore(tmp_path / "configuration.json")
    assert again.get("a", ("x", "y")) == [1, {"z": None}]
    assert again.time("a", ()) == 5
    assert (tmp_path / "configuration.json").stat().st_mode & 0o777 == 0o600


def test_a_draft_changes_nothing_until_it_is_adopted(store: ConfigurationStore) -> None:
    store.merge("a", {"x": 1}, ())
    store.merge("gone", {"x": 1}, ())
    draft = store.draft()
    draft.merge("a", {"x": 2}, ())
    draft.remove("gone")
    assert store.get("a", ("x",)) == 1
    assert store.adopt(draft) == {"a": [("x",)], "gone": [("x",)]}
    assert store.components() == ["a"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 5}', b'{"a": {"b": 5}}', b'{"a": {"b": ["x"]}}'])
def test_a_broken_file_is_one_line(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "configuration.json"
    path.write_bytes(text)
    with pytest.raises(EdgeloopError, match="configuration.json") as error:
        ConfigurationStore(path)
    assert "\n" not in str(error.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.text("ab/~", min_size=1, max_size=2), inner, min_size=1, max_size=3),
    max_leaves=8,
)  # fmt: skip
MAPS = st.dictionaries(st.text("ab/~", min_size=1, max_size=2), VALUES, max_size=3)


def merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {key: merged(old[key], new[key]) if key in old and key in new else new.get(key, old.get(key))
            for key in (*old, *(key for key in new if key not in old))}


@settings(deadline=None, max_examples=100)
@given(MAPS, MAPS)
def test_merge_is_a_merge(first: dict[str, Any], second: dict[str, Any]) -> None:
    store = ConfigurationStore(None)
    store.merge("a", first, ())
    store.merge("a", second, ())
    assert store.get("a", ()) == merged(first, second)
    before = store.draft()
    changed = store.merge("a", first, ())
    assert bool(changed) == (json.dumps(before.get("a", ()), sort_keys=True)
                             != json.dumps(store.get("a", ()), sort_keys=True))
