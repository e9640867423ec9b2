"""YAML with places: what is taken, what is refused, and that nothing else comes out of a damaged file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edgeloop.errors import EdgeloopError
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.problems import LineErrors
from edgeloop_tools.config.tree import DEEPEST, LARGEST, MOST, layered, parse, read

FILE = Path("line.yaml")


def refused(text: str | bytes) -> str:
    with pytest.raises(LineErrors) as caught:
        parse(text.encode() if isinstance(text, str) else text, FILE)
    assert len(caught.value.problems) == 1
    return str(caught.value.problems[0])


def test_places_are_those_of_keys_and_values() -> None:
    tree, problems = parse(b"site: north\nsources:\n  a:\n    tags: {x: hr 1,\n      y: [1, two]}\n", FILE)
    assert problems == []
    node, rest, steps = tree.find("sources.a.tags.y[1]")
    assert (node.value, rest, steps) == ("two", "", 5)
    assert (str(node.place), str(tree.find("sources.a.tags.y")[0].key)) == ("line.yaml:5:14", "line.yaml:5:7")
    assert tree.find("sources.b.type")[1] == "b.type"


def test_scalars_are_what_was_written() -> None:
    """No Norway, no octal, no sexagesimal, no dates: the field's type decides."""
    tree, _ = parse(b"a: no\nb: 010\nc: 12:30:00\nd: 2026-01-02\ne: 1.10\nf: ~\ng: ''\nh: \"~\"\ni:\n", FILE)
    assert tree.data() == {
        "a": "no", "b": "010", "c": "12:30:00", "d": "2026-01-02", "e": "1.10", "f": None, "g": "", "h": "~", "i": None,
    }  # fmt: skip
    assert tree.data(typed=True)["e"] == 1.1


def test_keys_may_have_dots() -> None:
    tree, _ = parse(b"components: {io.edgeloop.Runtime: {profiles: core}}", FILE)
    assert tree.find("components.io.edgeloop.Runtime.profiles")[0].value == "core"


def test_anchors_and_merge_keys() -> None:
    text = b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\nd: {<<: [*a, {z: 9}]}\n"
    tree, _ = parse(text, FILE)
    assert tree.data()["b"] == {"x": "1", "y": "3"}
    assert tree.data()["c"] == tree.data()["a"]
    assert tree.data()["d"] == {"x": "1", "y": "2", "z": "9"}
    assert str(tree.find("b.x")[0].place) == "line.yaml:1:11", "a value is where it was written"


def test_a_key_given_twice() -> None:
    _, problems = parse(b"a: 1\nb:\n  c: 1\n  c: 2\n", FILE)
    assert [str(p) for p in problems] == ["line.yaml:4:3: key given twice (c): first in line 3; remove one"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "line.yaml:1:1: the file is empty; begin with site and line"),
        ("- a", "line.yaml:1:1: a line is a map of settings; begin with site and line"),
        ("a: 1\n---\nb: 2", "line.yaml:2:1: a second document; one file has one document"),
        ("a: !!python/object:os.system x",
         "line.yaml:1:4: the tag tag:yaml.org,2002:python/object:os.system is not taken; leave it out"),
        ("!!str a: 1", "line.yaml:1:1: the tag tag:yaml.org,2002:str is not taken; leave it out"),
        ("a: *b", "line.yaml:1:4: unknown alias *b"),
        ("a: &a [*a]", "line.yaml:1:8: unknown alias *a"),
        ("a: {<<: 5}", "line.yaml:1:5: << takes a map"),
        ("? [a]\n: 1", "line.yaml:1:3: a key must be text"),
        ("a: 'x", "line.yaml:1:6: no YAML: found unexpected end of stream"),
        ("a: 1\n  b: 2", "line.yaml:2:4: no YAML: mapping values are not allowed here"),
        ("a:\n\t b: 1", "line.yaml:2:1: no YAML: found character '\\t' that cannot start any token"),
        (b"a: 1\nb: \xff", "line.yaml:2:1: no UTF-8: byte 0xff"),
        ("a: 1\nb: \x07", "line.yaml:2:1: no YAML: the character '\\x07'"),
    ],
)  # fmt: skip
def test_what_is_no_line(text: str | bytes, line: str) -> None:
    assert refused(text) == line


def test_bombs_are_bounded() -> None:
    laughs = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for above, name in zip("abcdefg", "bcdefgh", strict=True):
        laughs += f"{name}: &{name} [{', '.join([f'*{above}'] * 10)}]\n"
    assert f"more than {MOST} values, aliases expanded" in refused(laughs)
    assert f"more than {DEEPEST} levels" in refused("a: " + "[" * 5000)
    assert f"more than {DEEPEST} levels" in refused("a: " + "{a: " * 5000)
    assert "the file is too large" in refused(b"#" * (LARGEST + 1))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=r"cannot read the file .*No such file"):
        read(tmp_path / "none.yaml")


def test_layers_merge_maps_and_null_removes() -> None:
    base, _ = parse(b"a: {x: 1, y: {z: 2}}\nb: [1, 2]\n", FILE)
    over, _ = parse(b"a: {x: null, y: {w: 3}}\nb: [3]\nc: 4\nd: null\n", Path("over.yaml"))
    problems: list[Any] = []
    tree = layered(base, over, problems)
    assert tree.data() == {"a": {"y": {"z": "2", "w": "3"}}, "b": ["3"], "c": "4"}
    assert str(tree.find("a.y.z")[0].place) == "line.yaml:1:18"
    assert str(tree.find("a.y.w")[0].place) == "over.yaml:1:21"
    assert [str(p) for p in problems] == ["over.yaml:4:1: note: there is nothing to remove (d); known: a, b"]


_SCALARS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
_TREES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_SCALARS, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(_SCALARS, _TREES, min_size=1, max_size=4))
def test_text_comes_back_as_it_was(document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, default_style='"', allow_unicode=True)
    assert parse(text.replace("!!null ", "").encode(), FILE)[0].data() == document


CORPUS = [path.read_bytes() for path in sorted(Path(__file__).with_name("corpus").glob("*.yaml"))]


@given(st.sampled_from(CORPUS), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6)), max_size=4))
def test_a_damaged_line_is_told_with_its_place(data: bytes, damage: list[tuple[int, bytes]]) -> None:
    for at, patch in damage:
        data = data[: at % len(data)] + patch + data[at % len(data) + len(patch) :]
    judge(data)


@pytest.mark.parametrize("data", CORPUS)
def test_the_corpus(data: bytes) -> None:
    judge(data)


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    judge(data)


def judge(data: bytes) -> None:
    """Either a line, whose problems all have places, or LineErrors."""
    from edgeloop_tools.config.checks import check

    try:
        tree, problems = parse(data, FILE)
    except LineErrors as error:
        found = error.problems
    else:
        line = Line(tree, [FILE], problems)
        check(line)
        found = line.problems
        if all(problem.note for problem in found):
            assert line.components()
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\x85") + data.count(b"\xe2\x80") + 2
    for problem in found:
        assert 1 <= problem.place.line <= lines
        assert "\n" not in str(problem)
