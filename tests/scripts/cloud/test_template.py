"""The template of the cloud side: what its policies name, and what cfn-lint says of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.cli import main
from edgeloop_tools.cloud.template import UNSCOPED, statements

LINE = """
site: Halle 3
line: l1
sources:
  press7: {type: simulator}
monitors:
  press7_bearing: {asset: press7, input: press7_vib}
fleet: {}
upload: {bucket: my-factory, prefix: edge, kinesis: factory-events}
cameras:
  gate:
    uri: rtsp://camera/stream
    model: inspect
    policy: latest
    video: {to: kvs, stream: gate7}
    opinion: {endpoint: Inspect-Large, mode: after}
models:
  inspect: {uri: "s3://models/inspect-1.0.0.tar", digest: "sha256:DIGEST"}
""".replace("DIGEST", "a" * 64)
SMALL = "site: s\nline: l\nsources: {a: {type: simulator}}\n"


def made(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> dict[str, Any]:
    path = tmp_path / "line.yaml"
    path.write_text(line)
    assert main(["cloud", "template", "--line", str(path)]) == 0
    return dict(json.loads(capsys.readouterr().out))


def texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in texts(part)]


@pytest.mark.parametrize("line", [LINE, SMALL])
def test_every_policy_names_its_resources(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    template = made(tmp_path, capsys, line)
    found = statements(template)
    assert {id for id, _ in found} >= {"DeviceRole", "AnalysisRole", "StartRole", "ScheduleRole", "FindingsPolicy"}
    for id, statement in found:
        if "Resource" not in statement:
            assert statement["Action"] == "sts:AssumeRole", id
            continue
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if statement["Effect"] == "Allow":
            assert not [action for action in actions if "*" in action], (id, actions)
            for text in texts(statement["Resource"]):
                if set(actions) <= UNSCOPED:
                    continue
                assert text not in ("*", "arn:*"), (id, actions)
                name = text.split(":", 5)[-1] if text.startswith("arn:") else text
                assert not name.startswith("*"), (id, text)
                assert re.fullmatch(r"(?!.*\*.*\*)[^*]*\*?[^*]*", name.removesuffix("/*")), (id, text)
        else:
            assert actions == ["s3:*"], "only what is forbidden may be all"


def test_the_template_is_of_this_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    template = made(tmp_path, capsys, LINE)
    resources = template["Resources"]
    device = texts([s.get("Resource") for id, s in statements(template) if id == "DeviceRole"])
    for name in ("my-factory/edge/*", "stream/factory-events", "stream/gate7/*", "endpoint/inspect-large",
                 "models/inspect-1.0.0.tar"):  # fmt: skip
        assert any(name in text for text in device), name
    heard = texts([s["Resource"] for id, s in statements(template) if id == "FindingsPolicy"])
    assert [text.rpartition(":")[2] for text in heard] == [
        "topicfilter/edgeloop/findings/Halle-3/+", "topic/edgeloop/findings/Halle-3/*",
    ]  # fmt: skip
    assert {"TableIndicators1M", "TableGaps", "Schedule", "RecordsLate", "History"} <= resources.keys()
    assert not {"Records", "Delivery"} & made(tmp_path, capsys, SMALL)["Resources"].keys()
    assert made(tmp_path, capsys, LINE) == template


@pytest.mark.skipif(shutil.which("cfn-lint") is None, reason="needs cfn-lint: pip install cfn-lint")
@pytest.mark.parametrize("line", [LINE, SMALL])
def test_cfn_lint_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(made(tmp_path, capsys, line)))
    done = subprocess.run(["cfn-lint", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
