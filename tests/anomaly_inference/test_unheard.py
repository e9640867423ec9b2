"""What a monitor or a limit waits for and has never arrived is an alarm: nothing is watched there."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.silence import FIRST, Unheard
from edgeloop.alarms import NO_MONITOR, Cause
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_772_323_200 * NS
MONITORS: dict[str, Any] = {
    "there": {"asset": "saw", "input": "vib", "range": {"x": "-9..9"}},
    "press": {"asset": "press", "input": "plc", "range": {"x": "-9..9"}},
    "joined": {"asset": "saw", "input": "vib plc", "range": {"x": "-9..9"}},
    "gated": {"asset": "saw", "input": "vib", "when": "state.running", "range": {"x": "-9..9"}},
    "leave": {"asset": "saw", "input": "plc", "gap": "0 s", "range": {"x": "-9..9"}},
}


class Device:
    def __init__(self, monitors: dict[str, Any] = MONITORS, limits: dict[str, Any] | None = None) -> None:
        said = {"monitors": monitors, "limits": limits or {}}
        self.engine = Engine(convert(said, Configuration))
        self.unheard = Unheard()
        self.index = dict.fromkeys(("vib", "plc"), 0)

    def send(self, stream: str, channel: str = "x") -> None:
        n = self.index[stream]
        self.index[stream] += 10
        samples = np.zeros((10, 1), dtype=np.float32)
        batch = Batch(stream, 1, n, BEGAN + n * NS // 10, (Channel(channel),), samples, Fraction(10))
        self.engine.process(batch, now=batch.end)

    def at(self, seconds: float) -> dict[str, str]:
        """By monitor the state of what changes."""
        changed = self.unheard.listen(self.engine, seconds, BEGAN + int(seconds * NS))
        return {alarm.monitor: alarm.state for alarm in changed}


def test_a_stream_that_has_never_spoken_is_an_alarm_of_each_who_waits_for_it() -> None:
    device = Device()
    device.send("vib")
    assert device.at(0) == {}
    assert device.at(FIRST - 1) == {}
    assert device.at(FIRST) == dict.fromkeys(("press", "joined", "gated"), "raised")
    texts = {alarm.monitor: (alarm.asset, alarm.text) for alarm in device.engine.book.open}
    assert texts["press"] == ("press", "no samples of plc since the start")
    assert texts["gated"] == ("saw", "no samples of state since the start")
    assert device.at(FIRST + 1) == {}, "told once"
    device.send("plc")
    assert device.at(FIRST + 2) == dict.fromkeys(("press", "joined"), "cleared")
    assert [alarm.monitor for alarm in device.engine.book.open] == ["gated"]


def test_what_comes_within_the_minute_is_no_alarm() -> None:
    device = Device({"press": MONITORS["press"]})
    assert device.at(0) == {}
    device.send("plc")
    assert device.at(FIRST + 1) == {}


@pytest.mark.parametrize("limit", [{"high": 70}, {"if": "oil > 60 and plc.x > 1"}])
def test_a_limit_of_a_channel_that_never_came_is_blind_too(limit: dict[str, Any]) -> None:
    device = Device({}, {"oil": limit})
    device.send("vib")
    device.at(0)
    assert device.at(FIRST) == {"oil": "raised"}
    device.send("vib", "oil")
    device.send("plc")
    assert device.at(FIRST + 1) == {"oil": "cleared"}


def test_where_nothing_speaks_at_all_one_alarm_is_enough() -> None:
    device = Device()
    device.at(0)
    device.engine.book.raise_(
        NO_MONITOR, "silent", asset="SensorIngest", severity="high", text="", cause=Cause(stream=""), now=1, sample=1
    )
    assert device.at(FIRST) == {}


def test_a_monitor_that_is_gone_waits_no_more() -> None:
    device = Device()
    device.send("vib")
    device.at(0)
    device.at(FIRST)
    retired = device.engine.apply(convert({"monitors": {"there": MONITORS["there"]}}, Configuration), BEGAN).alarms
    assert {alarm.monitor: alarm.state for alarm in retired} == dict.fromkeys(("press", "joined", "gated"), "cleared")
    assert device.at(FIRST + 1) == {}


def test_what_spoke_before_a_restart_is_no_news() -> None:
    device = Device({"press": MONITORS["press"]})
    for _ in range(3):
        device.send("plc")
    after = Device({"press": MONITORS["press"]})
    after.engine.restore(device.engine.state())
    after.at(0)
    assert after.at(FIRST) == {}, "its silence is a gap, as it was"
