from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from edgeloop.clock import NS
from edgeloop_tools.harness.evaluate import evaluate, write
from edgeloop_tools.harness.recording import Intervention, Seen

BEGAN = 1_700_000_000 * NS
ENDED = BEGAN + 40 * NS


def test_the_report_has_what_the_contract_names(recorded: Any, tmp_path: Path) -> None:
    line, expected = recorded
    run, history = evaluate(line, expected, BEGAN, ENDED)
    path = tmp_path / "r.json"
    write(run, history, expected, line, path)
    report = json.loads(path.read_text())
    assert report["duration_s"] == 40.0
    assert report["streams"]["press1_vib"] == {
        "samples": report["streams"]["press1_vib"]["samples"], "batches": report["streams"]["press1_vib"]["batches"],
        "dropped": 0, "gaps": report["streams"]["press1_vib"]["gaps"], "channels": 3, "rate_hz": 25600.0,
    }  # fmt: skip
    anomalies = report["anomalies"]
    assert anomalies["truth"] == len(line.recording.truth)
    assert anomalies["detected"] == anomalies["truth"] - 1
    assert anomalies["false_alarms"] == 1
    assert anomalies["sample_to_alert_ms"]["p50"] == 80.0
    assert set(anomalies["trivial_threshold"]) == {"fixed", "best"}
    assert report["journal"]["lost"] == 0
    assert report["journal"]["kills"] == 1
    assert report["seconds_to_first_score"] == 3.0
    assert "1 false alarm in 40 s" in report["promise"]["broken"]
    assert {"cameras", "models", "uploads", "components", "ran_on", "promise"} <= set(report)


def test_the_page_needs_nothing_else(recorded: Any, tmp_path: Path) -> None:
    line, expected = recorded
    run, history = evaluate(line, expected, BEGAN, ENDED)
    write(run, history, expected, line, tmp_path / "r.json")
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") >= 4
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', page)
    assert "nothing at all" in page
    assert "missed" in page
    assert len(page) < 3_000_000


def test_a_sample_that_was_announced_and_is_not_there_is_lost(recorded: Any) -> None:
    line, expected = copy.copy(recorded[0]), recorded[1]
    line.recording = copy.deepcopy(line.recording)
    (stream, epoch), seen = next((k, v) for k, v in line.recording.announced.items() if k[0] == "press1_vib")
    line.recording.announced[stream, epoch] = Seen(seen.first, seen.end + 7)
    line.recording.announced["press1_vib", 99] = Seen(0, 5)
    run, _ = evaluate(line, expected, BEGAN, ENDED)
    assert run.lost == {"press1_vib": 12}
    assert any("press1_vib 12" in line for line in run.broken())


def test_bytes_that_were_announced_and_are_not_there_break_the_promise(recorded: Any) -> None:
    line, expected = copy.copy(recorded[0]), recorded[1]
    line.recording = copy.deepcopy(line.recording)
    segment = max(line.recording.announced_bytes)
    line.recording.announced_bytes[segment] += 10
    line.recording.announced_bytes["99999999-00000000000000ff.cborseq"] = 32
    run, _ = evaluate(line, expected, BEGAN, ENDED)
    assert run.ledger.short_bytes(line.recording) == 42


def test_a_component_that_stays_dead_breaks_the_promise(recorded: Any) -> None:
    line, expected = copy.copy(recorded[0]), recorded[1]
    line.recording = copy.deepcopy(line.recording)
    line.recording.interventions[0] = Intervention("kill", "io.edgeloop.SensorIngest", BEGAN)
    run, _ = evaluate(line, expected, BEGAN, ENDED)
    assert "io.edgeloop.SensorIngest did not come back after kill -9" in run.broken()
