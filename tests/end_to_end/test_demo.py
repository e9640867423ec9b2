"""The command a person types first."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def demo(root: Path, report: Path, *options: str) -> list[str]:
    words = ["demo", "--root", str(root), "--report", str(report), *options]
    return [sys.executable, "-m", "edgeloop_tools", *words]


@pytest.mark.parametrize(("nucleus", "seconds"), [("classic", 36), ("lite", 28)])
@pytest.mark.timeout(600)
def test_demo_keeps_its_promise(root: Path, tmp_path: Path, nucleus: str, seconds: int) -> None:
    path = tmp_path / "r.json"
    command = demo(root, path, "--nucleus", nucleus, "--duration", str(seconds), "--seed", "3")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=560)
    report = json.loads(path.read_text())
    said = ("the first score took", " false alarm", " damaged part")
    late = [line for line in report["promise"]["broken"] if any(words in line for words in said)]
    assert report["promise"]["broken"] == late
    assert re.search(r"http://127\.0\.0\.1:\d+/ \(name demo, password \w+\)", done.stdout)
    assert report["components"]["io.edgeloop.Console"]["restarts"] == 0
    assert done.returncode == (1 if late else 0), done.stderr
    assert report["nucleus"] == nucleus
    assert report["journal"]["kills"] == 1
    assert report["journal"]["lost"] == 0
    assert report["journal"]["announced_and_missing_bytes"] == 0
    assert report["anomalies"]["detected"] >= 1
    assert report["bus_unreadable"] == {}
    assert {c["state"] for c in report["components"].values()} <= {"RUNNING", "FINISHED"}
    assert report["streams"]["press1_vib"]["samples"] > 25_600 * (seconds - 15)
    gate, uploads, model = report["cameras"]["gate"], report["uploads"], report["models"]["visual_inspection"]
    assert gate["parts"] > seconds
    assert (gate["parts_without_verdict"], gate["parts_with_two_verdicts"]) == (0, 0)
    assert gate["truth"]["rejected"] > 0
    assert set(gate["models"]) == {"1.0.0", "1.2.0"}
    assert model["version"] == "1.2.0"
    assert "golden" in model["refused"][0]
    assert uploads["objects"] > 0
    assert uploads["samples_read_back"] == uploads["samples_equal"] > 0
    assert {"press1_slow", "press2_plc"} <= set(uploads["streams"])
    assert report["actions"]["dry_run"] > 0
    page = (tmp_path / "r.html").read_text()
    assert "press2" in page
    assert "data:image/jpeg;base64," in page
    assert "edgeloop.read(" in page
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_interrupted_it_stops_cleanly_and_reports(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with subprocess.Popen(
        demo(root, path, "--duration", "600", "--machines", "1", "--json"), stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if (event := json.loads(line))["event"] == "status" and event["seconds"] > 3:
                break
        os.kill(child.pid, signal.SIGINT)
        rest = [json.loads(line) for line in child.stdout]
        assert child.wait(timeout=60) == 0
    assert rest[-1]["event"] == "report"
    assert json.loads(path.read_text())["journal"]["lost"] == 0
    assert not (root / "control.sock").exists()


@pytest.mark.timeout(300)
def test_recordings_are_replayed(root: Path, tmp_path: Path) -> None:
    import numpy as np

    noise = np.random.default_rng(0)
    healthy = noise.normal(size=(100_000, 2)).astype(np.float32)
    faulty = healthy.copy()
    faulty[::223] *= 12
    np.save(tmp_path / "healthy.npy", healthy)
    np.save(tmp_path / "faulty.npy", faulty)
    rows = [f"2020-03-09 10:{i // 60:02}:{i % 60:02};{v:.4f};0" for i, v in enumerate(noise.normal(size=600))]
    (tmp_path / "slow.csv").write_text("\n".join(["datetime;Current;anomaly", *rows]) + "\n")
    files = [str(tmp_path / name) for name in ("healthy.npy", "faulty.npy", "slow.csv")]
    command = demo(root, tmp_path / "r.json", "--duration", "14", "--rate", "20000", "--replay", *files)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    report = json.loads((tmp_path / "r.json").read_text())
    assert done.returncode == 0, done.stderr
    assert report["anomalies"]["kinds"]["recorded"] == {"truth": 1, "detected": 1}
    assert report["streams"]["slow"]["samples"] == 600
    assert report["streams"]["slow"]["channels"] == 1
    assert report["streams"]["spindle"]["gaps"] == 0
    assert report["streams"]["spindle"]["dropped"] == 0
    assert report["journal"]["lost"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--replay", "/nowhere/x.csv"], "no such recording"),
        (["--report", "/nowhere/r.json"], "the report cannot be written there"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(root: Path, options: list[str], words: str) -> None:
    begun = time.monotonic()
    command = [sys.executable, "-m", "edgeloop_tools", "demo", "--root", str(root), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert time.monotonic() - begun < 60


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    command = [sys.executable, "-m", "edgeloop_tools", "demo", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "this folder is no demo's" in done.stderr
    assert (tmp_path / "precious").read_text() == "mine"
