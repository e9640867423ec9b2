"""Secrets of the classic nucleus's Secret Manager, by their ARN; nucleus lite has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeloop import secret
from edgeloop.errors import EdgeloopError

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:plant/mqtt-AbCdEf"
OTHER = ARN.replace("mqtt", "other")
SERVICE = "aws.greengrass.SecretManager"
GRANTED = {SERVICE: {"p": {"operations": ["aws.greengrass#GetSecretValue"], "resources": [ARN]}}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stopped_nucleus: Any, make_bus: Any) -> None:
    (tmp_path / "secrets").write_text(json.dumps({ARN: "hunter2\nnext line", OTHER: "x"}))
    monkeypatch.setenv("EDGELOOP_CORE_SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setattr(secret, "_ask", [])
    stopped_nucleus.add("token", policy=GRANTED)
    stopped_nucleus.start()
    secret.asked_of(make_bus().get_secret)


@pytest.mark.usefixtures("asked")
def test_a_secret_is_asked_for_by_its_arn_and_only_where_that_is_granted() -> None:
    assert secret.first_line(ARN) == "hunter2"
    with pytest.raises(EdgeloopError, match="cannot read the password file") as refused:
        secret.first_line(OTHER)
    assert "not authorized" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("stopped_nucleus", ["lite"], indirect=True)
@pytest.mark.usefixtures("asked")
def test_nucleus_lite_has_none() -> None:
    with pytest.raises(EdgeloopError, match="nucleus lite has none: use a file"):
        secret.first_line(ARN)


def test_outside_of_a_component_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret, "_ask", [])
    with pytest.raises(EdgeloopError, match="only a component of a classic nucleus"):
        secret.first_line(ARN)
