"""What a line lets its components act on: the sources that its rules, rejects and safe actions name."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from edgeloop_tools.build import RECIPES
from edgeloop_tools.config import difference, grants, load
from edgeloop_tools.config.grants import granted
from edgeloop_tools.config.render import own, previous, updates, write

ANOMALY, CAMERA = "io.edgeloop.AnomalyInference", "io.edgeloop.CameraInference"
LINE = """
site: here
line: one
assets: {m: a machine}
sources:
  press1: {type: simulator, actions: {stop: {range: "0..1"}}}
  gate: {type: simulator, actions: {out: {range: "0..1"}}}
  other: {type: simulator, actions: {stop: {range: "0..1"}}}
monitors: {m: {asset: m, input: press1_vib}}
"""
ACTS = """
rules: {stop: {monitor: m, source: press1, target: stop}}
cameras:
  c: {uri: "folder:/pictures", policy: every, reject: {source: gate, target: out}, safe: {source: press1, target: stop}}
"""


def line(folder: Path, text: str) -> Path:
    path = folder / f"line{len(text)}.yaml"
    path.write_text(text)
    return path


def topics(configuration: dict[str, object]) -> list[str]:
    access = configuration.get("accessControl", {})
    assert isinstance(access, dict)
    return [topic for policies in access.values() for policy in policies.values() for topic in policy["resources"]]


def test_each_component_may_act_on_what_its_part_of_the_line_names_and_nothing_else(tmp_path: Path) -> None:
    components = load(line(tmp_path, LINE + ACTS)).configured()
    assert topics(components[ANOMALY]) == ["edgeloop/actions/press1"]
    assert topics(components[CAMERA]) == ["edgeloop/actions/gate", "edgeloop/actions/press1"]
    assert topics(components["io.edgeloop.SensorIngest"]) == []
    assert "accessControl" not in load(line(tmp_path, LINE)).configured()[ANOMALY]


def test_a_recipe_alone_lets_nobody_act() -> None:
    for path in RECIPES.glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text())
        defaults = recipe.get("ComponentConfiguration", {}).get("DefaultConfiguration", {})
        for policies in defaults.get("accessControl", {}).values():
            for policy in policies.values():
                acts = "aws.greengrass#PublishToTopic" in policy["operations"]
                assert not (acts and any(topic.startswith("edgeloop/actions") for topic in policy["resources"])), path


def test_what_was_granted_goes_with_the_rule(tmp_path: Path) -> None:
    before, after = load(line(tmp_path, LINE + ACTS)), load(line(tmp_path, LINE))
    update = difference(before, after)[ANOMALY]
    assert "/accessControl" in update.reset
    assert "accessControl" not in update.merge
    moved = (LINE + ACTS).replace("source: press1, target: stop}}\ncam", "source: other, target: stop}}\ncam")
    update = difference(before, load(line(tmp_path, moved + "\n")))[ANOMALY]
    assert topics(update.merge) == ["edgeloop/actions/other"]


def test_rendered_and_read_back_it_is_the_same(tmp_path: Path) -> None:
    components = load(line(tmp_path, LINE + ACTS)).configured()
    write(tmp_path / "out", updates(components))
    assert difference(previous(tmp_path / "out" / "update-config.json"), components) == {}
    recipe = yaml.safe_load((RECIPES / f"{ANOMALY}-0.1.0.yaml").read_text())
    access = {**recipe["ComponentConfiguration"]["DefaultConfiguration"]["accessControl"]}
    for service, policies in components[ANOMALY]["accessControl"].items():
        access[service] = {**access[service], **policies}
    device = {**components[ANOMALY], "accessControl": access}
    assert own(ANOMALY, device)["accessControl"] == components[ANOMALY]["accessControl"]


def test_many_sources_stay_within_a_leaf_of_lite() -> None:
    rules = {f"r{n}": {"source": f"{n:02}" + 30 * "x", "target": "t"} for n in range(40)}
    access = granted({"a": {"rules": rules}})["a"]["accessControl"]["aws.greengrass.ipc.pubsub"]
    assert [len(policy["resources"]) for policy in access.values()] == [15, 15, 10]
    assert all(len(json.dumps(policy["resources"])) < 1024 for policy in access.values())


def test_who_needs_a_secret_may_ask_for_it_alone() -> None:
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:plant-AbCdEf"
    found = granted({"c": {"sources": {"hall": {"type": "mqtt", "password_secret": arn}}}, "d": {"sources": {}}})
    policy = {"policyDescription": "Ask", "operations": ["aws.greengrass#GetSecretValue"], "resources": [arn]}
    assert found["c"]["accessControl"] == {"aws.greengrass.SecretManager": {"c:secrets:1": policy}}
    assert grants.own(found["c"]["accessControl"]) == found["c"]["accessControl"]
    assert "accessControl" not in found["d"]
