from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from edgeloop.clock import NS, now
from edgeloop_tools.core.client import ComponentStatus
from edgeloop_tools.demo.view import Lines, Progress, Screen
from edgeloop_tools.harness.documents import ActionResult, AlarmEvent, Attribution, Result, TruthEvent
from edgeloop_tools.harness.observer import StreamNow
from edgeloop_tools.harness.processes import Meter
from edgeloop_tools.harness.recording import Received, Recording, Score


@pytest.fixture
def line() -> Any:
    recording, at = Recording(), now()
    recording.truth["f"] = TruthEvent("f", "outer_race", "press1", at - NS, at + 5 * NS, "started", "press1_vib", "z")
    event = AlarmEvent("a", "raised", "press1_bearing", "press1", "process", "high", "outer-race band ×6, channel z")
    recording.alarms.append(Received(at, event))
    result = Result("press1_bearing", score=0.9, state="live", attribution=[Attribution("z", "outer-race", 6.1, 9.0)])
    recording.scores["press1_bearing"].append(Score(at, result))
    recording.actions.append(ActionResult("x", "dry_run", "press1", "stop", 1))
    vib = StreamNow(samples=51200, channels=3, unit="m/s2", at=at)
    vib.counts.append((at, 51200))
    vib.levels.extend([1.0, 2.0, 3.0])
    plc = StreamNow(samples=10, channels=3, at=at, note="running, steel")
    components = {
        "io.edgeloop.SensorIngest": ComponentStatus(
            "io.edgeloop.SensorIngest", "0.1.0", "RUNNING", (1,), 1, "", True, {}
        ),
        "io.edgeloop.Runtime": ComponentStatus("io.edgeloop.Runtime", "0.1.0", "BROKEN", (), 3, "x", True, {}),
    }
    meter = Meter()
    meter.usage["io.edgeloop.SensorIngest"].pss = 48_000_000
    observer = SimpleNamespace(streams={"press1_vib": vib, "press1_plc": plc})
    return SimpleNamespace(recording=recording, observer=observer, components=components, meter=meter)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (200, 60)])
def test_the_screen_shows_the_alarm_in_words(line: Any, size: tuple[int, int]) -> None:
    out = io.StringIO()
    console = Console(file=out, width=size[0], height=size[1], force_terminal=False)
    screen = Screen(console)
    screen.say("alarm", "raised: press1 outer-race band ×6, channel z")
    console.print(screen.picture(line, Progress("2 machines", 60, now() - 10 * NS)), height=size[1])
    text = out.getvalue()
    assert "outer-race" in text
    assert "press1_vib" in text
    assert "48 MB" in text or size[0] < 100
    assert "dry run" in text or size[1] < 30


def test_lines_are_json_where_asked(line: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(as_json=True) as view:
        view.say("truth", "outer race begins on press1 z")
        view.show(line, Progress("2 machines", 60, now() - 10 * NS))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["event"] == "truth"
    assert second["scores"] == {"press1_bearing": 0.9}
    assert second["components"]["Runtime"] == "BROKEN"


def test_lines_are_plain_otherwise(line: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with Lines() as view:
        view.show(line, Progress("2 machines", 60, now() - 10 * NS))
        view.show(line, Progress("2 machines", 60, now() - 10 * NS))
    (only,) = capsys.readouterr().out.splitlines()
    assert "press1_bearing 0.90" in only
    assert "Runtime BROKEN" in only
