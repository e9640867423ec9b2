"""What a line sends and costs: against sums done by hand, and against what StreamUpload really writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeloop_tools.cli import main
from edgeloop_tools.config import load
from edgeloop_tools.cost.estimate import SAMPLE, estimate
from edgeloop_tools.cost.prices import KNOWN

LINE = """
site: plant7
line: l1
sources:
  press7: {type: simulator}
  plc: {type: modbus, url: "tcp://10.0.0.7", poll: 500 ms, tags: {a: hr 1 int16 Cel, b: hr 2 int16 Cel}}
  scale: {type: topic, topics: {w: {filter: edgeloop/in/w}}}
upload: {bucket: my-factory}
capture: {press7_vib: {policy: windows alarms, length: 10 s, every: 1 h, before: 10 s, after: 10 s}}
"""


def test_bytes_and_objects_follow_the_capture_policy(tmp_path: Path) -> None:
    path = tmp_path / "line.yaml"
    path.write_text(LINE)
    found = estimate(load(path), {"plc": 2.0}, alarms=3)
    flows = {flow.stream: flow for flow in found.flows}
    plc = flows["plc"]
    assert (plc.rate, plc.channels, plc.share, plc.objects, plc.assumed) == (2.0, 2, 1.0, 96.0, False)
    assert plc.up == pytest.approx(2 * 86_400 * 2 * SAMPLE)
    fast = flows["press7_vib"]
    assert fast.share == pytest.approx(24 * 10 / 86_400 + 3 * 20 / 86_400)
    assert fast.objects == 24 + 3 + 96
    assert fast.up > fast.rate * 86_400 * fast.channels * SAMPLE * fast.share, "and its indicators"
    assert flows["scale"].assumed
    assert found.written > found.up > sum(flow.up for flow in found.flows)
    money = found.money(KNOWN["us-east-1"], months=12, kinesis=False)
    assert money["requests"] == pytest.approx(found.objects * 30.4 * 0.000005)
    assert money["records"] == 0.0


def test_the_command_says_what_is_assumed_and_takes_own_prices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, prices = tmp_path / "line.yaml", tmp_path / "prices.json"
    path.write_text(LINE)
    assert main(["cost", "--line", str(path), "--devices", "300"]) == 0
    said = capsys.readouterr().out
    assert "the line does not say it" in said
    assert "for 300" in said
    assert main(["cost", "--line", str(path), "--region", "mars-1"]) == 1
    assert "no prices of this region (mars-1)" in capsys.readouterr().err
    own = {name: getattr(KNOWN["us-east-1"], name) for name in KNOWN["us-east-1"].__struct_fields__}
    prices.write_text(json.dumps(own | {"region": "mine", "put": 5.0}))
    assert main(["cost", "--line", str(path), "--prices", str(prices)]) == 0
    assert "list prices of mine" in capsys.readouterr().out
    for rate in ("scale", "nothing=1", "scale=-1"):
        assert main(["cost", "--line", str(path), "--rate", rate]) == 1
    assert capsys.readouterr().err.count("\n") == 3
