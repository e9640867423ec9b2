"""`config check`, `render`, `diff` and `schema`, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edgeloop_tools.build import stale
from edgeloop_tools.cli import main
from edgeloop_tools.config import LineErrors, difference, load, overlays
from edgeloop_tools.config.schema import PATH
from edgeloop_tools.lint.document import Document

Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *words: object, code: int = 0) -> str:
    assert main(["config", *map(str, words)]) == code
    return capsys.readouterr().out


def test_the_example_is_good_on_every_device(example: Path, capsys: Capture) -> None:
    out = said(capsys, "check", example / "line.yaml")
    assert "line.yaml: nothing to object" in out
    assert "line.yaml on bench: nothing to object" in out
    assert "io.edgeloop.SensorIngest" in out
    room = json.loads(said(capsys, "check", example / "line.yaml", "--json"))
    assert room["good"]
    assert set(room["devices"]) == {"", "bench"}
    assert room["devices"][""]["io.edgeloop.SensorIngest"]["whole"] <= 99


def test_the_example_is_what_it_says(example: Path) -> None:
    line = load(example / "line.yaml")
    components = line.components()
    sources = components["io.edgeloop.SensorIngest"]["sources"]
    assert len(sources["press7_plc"]["tags"]) == 40
    assert sources["press7_vib"]["rate"] == "25.6 kHz"
    assert list(components["io.edgeloop.CameraInference"]["cameras"]) == ["gate7"]
    assert set(line.versions) == set(components)
    assert components["io.edgeloop.Runtime"]["profiles"] == "core protocols upload vision"


def test_problems_are_lines_sorted_and_the_exit_code_is_1(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "line.yaml"
    file.write_text("site: x\nline: L\nsources: {a: {type: simulator, sed: 1}, b: {type: x}}\n")
    out = said(capsys, "check", file, code=1).splitlines()
    assert [line.removeprefix(f"{file}:").partition(": ")[0] for line in out[:-1]] == ["2:7", "3:32", "3:51"]
    assert out[-1] == "3 problems"
    assert main(["config", "render", str(file)]) == 1
    assert capsys.readouterr().err.count("\n") == 3
    rows = json.loads(said(capsys, "check", file, "--json", code=1))["problems"]
    assert rows[1] | {"file": ""} == {
        "file": "", "line": 3, "column": 32, "where": "sources.a.sed", "what": "unknown key", "why": "",
        "mend": "did you mean 'seed'?", "note": False,
    }  # fmt: skip
    with pytest.raises(LineErrors, match=r"line\.yaml:2:7: .*and 2 more"):
        load(file)


def test_a_profile_that_adds_nothing_on_some_devices_is_noted(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "line.yaml"
    file.write_text("site: x\nline: l\nsources: {a: {type: simulator}}\nruntime: {profiles: core neo}\n")
    out = said(capsys, "check", file)
    assert "a profile is for x86_64 alone (runtime.profiles): the profile neo adds nothing on aarch64: dlr" in out


def test_an_overlay_that_is_wrong_names_itself(example: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "line.yaml"
    file.write_text((example / "line.yaml").read_text())
    over = tmp_path / "overlays" / "press-7-core.yaml"
    over.parent.mkdir()
    over.write_text("cameras:\n  gate7: {model: mine}\n")
    assert overlays(file) == {"press-7-core": over}
    out = said(capsys, "check", file, code=1)
    assert out.startswith(f"{over}:2:18: unknown model (cameras.gate7.model): 'mine'")
    assert said(capsys, "check", file, "--nucleus", "classic", "--overlay", example / "overlays" / "bench.yaml")


def test_rendering_is_the_same_every_time(example: Path, capsys: Capture, tmp_path: Path) -> None:
    first = said(capsys, "render", example / "line.yaml")
    assert said(capsys, "render", example / "line.yaml") == first
    documents = json.loads(first)
    assert all(set(document) == {"MERGE"} for document in documents.values())
    one = json.loads(said(capsys, "render", example / "line.yaml", "--component", "SensorIngest"))
    assert one == {"io.edgeloop.SensorIngest": documents["io.edgeloop.SensorIngest"]}
    said(capsys, "render", example / "line.yaml", "-o", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "update-config.json").read_text()) == documents
    assert (tmp_path / "out" / "io.edgeloop.Runtime.json").is_file()
    assert main(["config", "render", str(example / "line.yaml"), "--component", "Nothing"]) == 1


def test_rendering_against_a_previous_line(example: Path, capsys: Capture, tmp_path: Path) -> None:
    old = tmp_path / "line.yaml"
    text = (example / "line.yaml").read_text()
    old.write_text(text.replace("  press7_vib: {policy", "  press7_plc_state: {policy: none}\n  press7_vib: {policy"))
    documents = json.loads(said(capsys, "render", example / "line.yaml", "--previous", old))
    assert list(documents) == ["io.edgeloop.StreamUpload"]
    assert documents["io.edgeloop.StreamUpload"]["RESET"] == ["/capture/press7_plc_state"]
    out = said(capsys, "diff", old, example / "line.yaml")
    assert out.splitlines() == [
        "io.edgeloop.StreamUpload: restarts; 13 keys",
        "  - /capture/press7_plc_state/policy: none",
        "  reset /capture/press7_plc_state",
    ]
    rows = json.loads(said(capsys, "diff", old, example / "line.yaml", "--json", "--nucleus", "classic"))
    assert rows["io.edgeloop.StreamUpload"]["restart"] is False
    assert said(capsys, "diff", old, old) == "no component's configuration changes\n"
    assert difference(load(old), load(old)) == {}


def test_where_values_come_from(example: Path, capsys: Capture) -> None:
    over = example / "overlays" / "bench.yaml"
    rows = json.loads(said(capsys, "render", example / "line.yaml", "--overlay", over, "--origins", "--json"))
    origin = {row["where"]: Path(row["file"]).name for row in rows}
    assert (origin["site"], origin["line"], origin["cameras.gate7.uri"]) == ("bench.yaml", "line.yaml", "bench.yaml")
    assert "upload.bucket" not in origin


def test_the_schema_is_current_and_takes_the_example(example: Path, capsys: Capture) -> None:
    assert PATH not in stale(), "run `edgeloop build`"
    document = json.loads(PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    line = example / "line.yaml"
    head = line.read_text().splitlines()[0]
    assert (example / head.partition("$schema=")[2]).resolve() == PATH
    judge = jsonschema.Draft202012Validator(document)
    assert list(judge.iter_errors(yaml.safe_load(line.read_text()))) == []
    assert said(capsys, "schema") == PATH.read_text()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"lines": 1}, "$"),
        ({"sources": {"a": {"type": "simulater"}}}, "$.sources.a.type"),
        ({"sources": {"a": {"type": "simulator", "sed": 1}}}, "$.sources.a"),
        ({"sources": {"A": {"type": "simulator"}}}, "$.sources"),
        ({"monitors": {"m": {"asset": "a"}}}, "$.monitors.m"),
        ({"upload": {"bucket": "A!"}}, "$.upload.bucket"),
        ({"cameras": {"c": {"uri": "x", "policy": "some"}}}, "$.cameras.c.policy"),
        ({"capture": {"s": {"length": "1 parsec"}}}, "$.capture.s.length"),
        ({"components": {"SensorIngest": {"tack": 1}}}, "$.components.SensorIngest"),
    ],
)
def test_the_schema_refuses(change: dict[str, Any], path: str) -> None:
    judge = jsonschema.Draft202012Validator(json.loads(PATH.read_text()))
    assert [error.json_path for error in judge.iter_errors({"site": "x", "line": "l", **change})] == [path]


def test_an_update_is_one_that_the_core_takes(example: Path) -> None:
    """Rendered numbers are plain JSON, and the recipes still have the keys."""
    for name, merge in load(example / "line.yaml").components().items():
        assert json.loads(json.dumps(merge)) == merge
        recipe = Document.read(next((PATH.parents[3] / "recipes").glob(f"{name}-*.yaml")))
        assert isinstance(recipe, Document)
        assert set(merge) <= set(recipe.defaults), name


def test_mqtt_alone_asks_for_its_part_of_the_protocols(tmp_path: Path) -> None:
    sources = {"a": "{type: mqtt, broker: mqtt://b, topics: {x: {filter: x}}}", "b": "{type: serial, port: /dev/x}"}
    for names, profiles in (("a", "core mqtt"), ("ab", "core protocols")):
        file = tmp_path / f"{names}.yaml"
        file.write_text("site: x\nline: l\nsources: {" + ", ".join(f"{n}: {sources[n]}" for n in names) + "}\n")
        assert load(file).components()["io.edgeloop.Runtime"]["profiles"] == profiles
