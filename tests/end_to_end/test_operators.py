"""What an operator does at a running line: list, acknowledge, shelve; take data away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.alarms import labels
from edgeloop_tools.cli import main
from edgeloop_tools.demo.plan import ANOMALY, machines


@pytest.mark.timeout(600)
def test_alarms_are_answered_and_samples_taken_away(
    running: Any, until: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running("classic", machines(["press1"], 9)) as line:
        root = str(line.root)

        def alarms(*words: str) -> list[dict[str, Any]]:
            capsys.readouterr()
            assert main(["alarm", *words, "--root", root, "--json"]) == 0
            return [json.loads(text) for text in capsys.readouterr().out.splitlines()]

        def status(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
            capsys.readouterr()
            code = main(["status", "--root", root, "--json", *words])
            found = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
            return code, {f"{entry['what']} {entry['name']}": entry for entry in found}

        _, found = status()
        for name in ("SensorIngest", "AnomalyInference"):
            component = found[f"component io.edgeloop.{name}"]
            assert (component["state"], component["restarts"]) == ("RUNNING", 0), component
            assert component["mb"] > 10
            assert component["since_s"] >= 0
        assert found["source press1"]["ok"]
        assert any(entry["what"] == "monitor" and entry["origin"] == "bus" for entry in found.values())

        def alarmed() -> bool:
            code, found = status()
            return code == 1 and any(entry["what"] == "alarm" and not entry["ok"] for entry in found.values())

        until(alarmed, 120, "an open alarm, and a status that is not ok for it")
        id = alarms("list")[0]["id"]
        assert alarms("list")[0]["first_out"]
        (known,) = alarms("ack", id, "--reason", "maintenance", "--by", "kim", "--wait", "60")
        assert (known["id"], known["reason"], known["by"]) == (id, "maintenance", "kim")
        assert alarms("ack", id, "--reason", "maintenance")[0]["id"] == id
        assert main(["alarm", "ack", "nobody", "--reason", "true", "--root", root]) == 1
        assert "no such alarm (nobody)" in capsys.readouterr().err
        queue = line.root / "work" / ANOMALY / "upload"
        lines = [text for path in queue.glob("*-labels.jsonl") for text in path.read_bytes().splitlines()]
        assert {(x.alarm, x.reason) for x in labels(lines)} == {(id, "maintenance")}
        assert main(["export", "press1_vib", "--last", "2s", "-o", str(tmp_path / "x.npy"), "--root", root]) == 0
        said = capsys.readouterr().err
        samples = np.load(tmp_path / "x.npy")
        assert f"{len(samples)} samples of press1_vib" in said
        assert samples.shape[1] == 3
        assert np.isfinite(samples).all()
        line.core.stop_component(ANOMALY)
        code, found = status("--wait", "2")
        assert code == 1
        assert not found[f"component {ANOMALY}"]["ok"]
        assert not [e for e in found.values() if e["what"] == "monitor" and e["ok"]], "green over a blind machine"
