from __future__ import annotations

import io
import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
from rich.console import Console

from edgeloop.clock import NS, now
from edgeloop.wire.batch import Batch, Channel
from edgeloop_tools.core.client import ComponentStatus
from edgeloop_tools.demo.spectrum import Spectra
from edgeloop_tools.demo.view import Lines, Progress, Screen
from edgeloop_tools.harness.documents import (
    ActionResult,
    AlarmEvent,
    Attribution,
    Inspection,
    ModelName,
    Result,
    TruthEvent,
)
from edgeloop_tools.harness.observer import StreamNow
from edgeloop_tools.harness.processes import Meter
from edgeloop_tools.harness.recording import Inspected, Received, Recording, Score


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


def vibration(hertz: float) -> Batch:
    t = np.arange(1280) / 25600
    samples = np.outer(np.sin(2 * np.pi * hertz * t), [1.0, 0.5, 0.1])
    return Batch("press1_vib", 1, 0, 0, tuple(map(Channel, "xyz")), samples, rate=Fraction(25600))


def inspected(part: int, verdict: Literal["pass", "fail", "unknown"], version: str = "1.0.0") -> Inspected:
    model = ModelName("visual_inspection", version) if version else ModelName()
    return Inspected(now(), Inspection("gate", verdict, now(), part=str(part), model=model))


def rendered(line: Any, screen: Screen) -> str:
    with screen.console.capture() as capture:
        screen.console.print(screen.picture(line, Progress("", 60, now())), height=screen.console.height)
    return capture.get()


def test_the_screen_shows_the_spectrum_in_hertz(line: Any) -> None:
    screen = Screen(Console(file=io.StringIO(), width=120, height=44))
    line.observer.streams["press1_vib"].newest = vibration(6400)
    text = rendered(line, screen)
    assert "from 0 Hz" in text
    row = next(words for words in text.splitlines() if "12.8 kHz" in words)
    assert "6,400 Hz" in row
    bars = row.split()[2]
    assert abs(bars.index("█") - len(bars) / 2) <= 1
    assert bars.count("▁") > len(bars) / 2


def test_spectra_are_computed_twice_a_second_and_keep_their_scale(line: Any) -> None:
    at = 0.0
    spectra, streams = Spectra(lambda: at), line.observer.streams
    streams["press1_vib"].newest = vibration(6400)
    (first,) = spectra.of(streams, 32)
    streams["press1_vib"].newest = replace(vibration(3200), samples=vibration(3200).samples * 1e-4)
    at = 0.4
    assert list(spectra.of(streams, 32)) == [first]
    at = 0.5
    ((_, second),) = spectra.of(streams, 32)
    assert second.peak == 3200
    assert set(second.line) == {"▁"}
    streams["press1_vib"].newest = replace(vibration(3200), rate=Fraction(10))
    assert not list(spectra.of(streams, 32))


def test_the_screen_shows_the_parts_going_by(line: Any) -> None:
    screen = Screen(Console(file=io.StringIO(), width=120, height=44))
    seen = line.recording.inspections
    seen += [inspected(1, "pass"), inspected(2, "fail"), inspected(2, "fail")]
    assert "●✗ " in rendered(line, screen)
    seen += [inspected(3, "pass", "1.2.0"), inspected(4, "unknown", "")]
    text = rendered(line, screen)
    assert "●✗●? " in text
    assert "2 pass  1 fail  1 unknown  visual_inspection 1.2.0" in text
    seen += [inspected(part, "pass", "1.2.0") for part in range(5, 105)]
    text = rendered(line, screen)
    assert "●" * 40 in text
    assert "✗" not in text
    assert "102 pass" in text
    screen.console.width = 80
    seen.append(inspected(105, "fail"))
    assert "●●✗" in rendered(line, screen)


def test_a_small_terminal_keeps_what_it_had(line: Any) -> None:
    line.recording.inspections.append(inspected(1, "pass"))
    text = rendered(line, Screen(Console(file=io.StringIO(), width=80, height=24)))
    assert "parts going by" not in text
    assert "events" in text


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
