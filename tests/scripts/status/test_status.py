"""`edgeloop status` by work folders alone; at a running line it is tried end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeloop import clock
from edgeloop.alarms import AlarmBook, AlarmJournal, AlarmSettings, Cause
from edgeloop.durable import Document
from edgeloop.fleet.findings import FILE, Applied, Kept
from edgeloop.health import MetricFiles
from edgeloop_tools.cli import main
from edgeloop_tools.status.gather import Found, Running, _by_metrics
from edgeloop_tools.status.lines import Line, lines

INGEST, ANOMALY = "io.edgeloop.SensorIngest", "io.edgeloop.AnomalyInference"


def test_no_core_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def work(root: Path, *, problems: int, age: float = 0.0) -> dict[str, Line]:
    """A status by work folders alone, of a device whose components had so many problems, `age` s ago."""
    component = Running(INGEST, "0.1.0", "RUNNING", "")
    found = Found(root, "classic", [component])
    folder = found.work("SensorIngest")
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    settings = {"sources": {"plc1": {"type": "modbus"}, "gone": ""}}
    (folder / "configuration.json").write_text(json.dumps(settings))
    metrics = MetricFiles(folder / "metrics", "SensorIngest", {"Component": "SensorIngest"})
    metrics.write(clock.now() - int(age * clock.NS), {}, {"problems": float(problems), "memory_mb": 52.0})
    _by_metrics(found)
    return {f"{line.what} {line.name}": line for line in lines(found)}


def test_work_folders_alone_are_never_greener_than_they_know(tmp_path: Path) -> None:
    well = work(tmp_path / "a", problems=0)
    assert well[f"component {INGEST}"].ok
    assert well[f"component {INGEST}"].mb == 52.0
    assert well["source plc1"].ok
    assert "source gone" not in well
    bad = work(tmp_path / "b", problems=2)
    assert not bad[f"component {INGEST}"].ok
    assert bad["source plc1"].state == "unknown"
    old = work(tmp_path / "c", problems=0, age=900)
    assert old[f"component {INGEST}"].state == "silent"


def test_letters_files_and_alarms_are_not_ok(tmp_path: Path) -> None:
    folder = tmp_path / "work" / INGEST
    folder.mkdir(parents=True)
    letter = {"time": clock.now(), "source": "hall", "stream": "hall", "why": "no number", "bytes": 1, "payload": ""}
    (folder / "dead.jsonl").write_text(json.dumps(letter) + "\n")
    (folder / "cursor.json.damaged").write_text("?")
    alarms = tmp_path / "work" / ANOMALY / "alarms.jsonl"
    alarms.parent.mkdir()
    journal = AlarmJournal(alarms)
    book = AlarmBook((), journal.record, AlarmSettings())
    now = clock.now()
    book.raise_(
        "m", "process", asset="press1", severity="high", text="RMS ×3", cause=Cause(stream="press1_vib"), now=now,
        sample=now,
    )  # fmt: skip
    journal.close()
    found = work(tmp_path, problems=0)
    letters = found["dead letters SensorIngest"]
    assert (letters.state, letters.ok) == ("1", False)
    assert "no number" in letters.words
    assert not found["set aside SensorIngest"].ok
    (alarm,) = [line for line in found.values() if line.what == "alarm"]
    assert (alarm.ok, alarm.origin) == (False, "press1_vib")
    assert "RMS ×3" in alarm.words


def test_a_setting_of_the_fleet_is_shown_with_its_origin(tmp_path: Path) -> None:
    path = tmp_path / "work" / ANOMALY / FILE
    applied = Applied(value="2 alarms/week", was="1 alarm/week", finding="a1", analysis="prior", time=clock.now())
    Document(path, Kept, Kept).save(Kept(applied={"monitors.press7.budget": applied}))
    (line,) = lines(Found(tmp_path, "classic", []))
    assert (line.what, line.name, line.state, line.ok) == ("setting", "monitors.press7.budget", "2 alarms/week", True)
    assert line.words == "the line says 1 alarm/week; set by finding a1 of prior"
    path.write_bytes(b"?")
    assert [line.what for line in lines(Found(tmp_path, "classic", []))] == ["unread"]
