from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.fleet.account import action_of
from edgeloop_tools.harness.aws import Cloud

Run = Callable[..., tuple[int, str, str]]
LINE = """\
site: plant2
line: press7
sources:
  vib:
    type: simulator
upload:
  bucket: plant2-raw
  prefix: presses
  kinesis: plant2-results
"""


@pytest.fixture
def policy(run: Run, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def call(*words: object) -> dict[str, Any]:
        code, out, err = run("policy", *words)
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    return call


def test_the_device_may_what_its_line_needs_and_no_more(cloud: Cloud, policy: Any, tmp_path: Path) -> None:
    (tmp_path / "line.yaml").write_text(LINE)
    made = {
        statement["Sid"]: statement for statement in policy("device", "--line", tmp_path / "line.yaml")["Statement"]
    }
    bucket = "edgeloop-components-eu-central-1-123456789012"
    assert made["Artifacts"]["Resource"] == [f"arn:aws:s3:::{bucket}/io.edgeloop.*"]
    assert made["Uploads"]["Resource"] == ["arn:aws:s3:::plant2-raw/presses/*"]
    assert made["Streams"]["Resource"] == ["arn:aws:kinesis:eu-central-1:123456789012:stream/plant2-results"]
    assert set(made) == {"Artifacts", "Uploads", "UploadBucket", "Streams"}


@pytest.mark.parametrize("who", ["publisher", "deployer", "device"])
def test_no_action_and_no_service_is_wild(cloud: Cloud, policy: Any, who: str) -> None:
    for statement in policy(who, "--thing-group", "presses")["Statement"]:
        assert all("*" not in action for action in statement["Action"])


def test_the_publisher_may_all_that_publishing_asks(cloud: Cloud, run: Run, policy: Any, tmp_path: Path) -> None:
    run("publish", "runtime", "--out", tmp_path, "--with", "boto3")
    allowed = {action for statement in policy("publisher")["Statement"] for action in statement["Action"]}
    asked = {action_of(r.operation, "greengrassv2") for r in cloud.requests if r.service == "greengrass"}
    assert asked <= allowed
    assert {"s3:CreateBucket", "s3:ListBucket", "s3:PutObject", "s3:GetObject"} <= allowed


def test_a_deployer_serves_named_groups(cloud: Cloud, run: Run, policy: Any) -> None:
    code, _, err = run("policy", "deployer")
    assert (code, "which thing groups does the deployer serve?; give --thing-group" in err) == (1, True)
    made = {statement["Sid"]: statement for statement in policy("deployer", "--thing-group", "presses")["Statement"]}
    assert made["Groups"]["Resource"] == ["arn:aws:iot:eu-central-1:123456789012:thinggroup/presses"]


def test_a_deployer_reaches_no_thing_that_is_not_named(cloud: Cloud, policy: Any) -> None:
    group = policy("deployer", "--thing-group", "presses")["Statement"]
    assert "thing/" not in json.dumps(group)
    assert "Shadow" not in json.dumps(group)
    made = {s["Sid"]: s for s in policy("deployer", "--thing-group", "presses", "--thing", "press7")["Statement"]}
    press7 = "arn:aws:iot:eu-central-1:123456789012:thing/press7"
    assert made["Things"]["Resource"] == [press7]
    assert press7 in made["Jobs"]["Resource"]


def test_an_account_may_be_named_without_credentials(cloud: Cloud, policy: Any) -> None:
    policy("publisher", "--account", "210987654321")
    assert cloud.requests == []
