from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import anomaly_inference
from anomaly_inference.configuration import Configuration, orphans
from anomaly_inference.engine import Engine, Outcome
from anomaly_inference.results import LARGEST, Result, pack
from edgeloop.alarms import Acknowledge, Alarm, Contribution
from edgeloop.clock import NS
from edgeloop.config import schema
from edgeloop.config.load import convert, tolerant
from edgeloop.detect.protocol import Context, DetectorType, Rows, Scores, Setup
from edgeloop.detect.registry import DETECTORS
from edgeloop.detect.sensor import seconds
from edgeloop.errors import EdgeloopError
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Channel, Item, RecordBatch

BEGAN = 1_700_000_000 * NS
MONITORS: dict[str, Any] = {
    "bearing": {
        "asset": "press1", "input": "press1_vib", "when": "press1_plc.running", "settle": "1 s", "learn": "4 s",
        "shaft": "29.95 Hz", "bearing": {"outer_race": 3.585}, "severity": "high",
    },
    "process": {
        "asset": "press1", "input": "press1_slow", "when": "press1_plc.running", "settle": "1 s", "learn": "6 s",
    },
}  # fmt: skip
RULES = {"stop": {"monitor": "bearing", "source": "press1", "target": "stop"}}


def configured(**changes: Any) -> Configuration:
    return convert({"monitors": MONITORS, "rules": RULES} | changes, Configuration)


def fault(kind: Any, start: float = 9, end: float = 14, severity: float = 0.8, **options: Any) -> Fault:
    options = {"stream": "vib", "channel": "z"} | options
    channel = options.pop("channel")
    return Fault("f", kind, "press1", channel, int(start * NS), int(end * NS), severity, **options)


def run(engine: Engine, *faults: Fault, seconds: int = 18, seed: int = 3) -> tuple[list[Alarm], Outcome]:
    total = Outcome()
    for end, items in play([Machine(Spec("press1", stops=False), seed, faults)], seconds * NS, began=BEGAN):
        outcome = engine.process(*items, now=BEGAN + end)
        total.results += outcome.results
        total.alarms += outcome.alarms
        total.actions += outcome.actions
    return [a for a in total.alarms if a.state == "raised"], total


def test_a_bearing_fault_is_one_alarm_in_words_and_one_dry_action() -> None:
    raised, total = run(Engine(configured()), fault("outer_race"))
    (alarm,) = raised
    assert (alarm.monitor, alarm.kind, alarm.severity) == ("bearing", "process", "high")
    assert alarm.text.startswith("outer-race band ×")
    assert BEGAN + 9 * NS < alarm.raised_at < BEGAN + 13 * NS
    assert alarm.raised_at - alarm.sample_time < NS // 4
    assert [a.state for a in total.alarms] == ["raised", "cleared"]
    assert [(a.source, a.target, a.armed) for a in total.actions] == [("press1", "stop", False)]
    states = [r.state for r in total.results if r.monitor == "bearing"]
    assert [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s] == ["settling", "learning", "live"]


@pytest.mark.parametrize(
    ("options", "monitor", "kind", "words"),
    [
        ({"kind": "dropout", "form": "silent", "channel": ""}, "bearing", "gap", "no samples for"),
        ({"kind": "dropout", "form": "silent", "stream": "slow", "channel": ""}, "process", "gap", "no samples for"),
        ({"kind": "dropout", "form": "stuck", "channel": "y"}, "bearing", "flat_line", "flat line, channel y"),
        (
            {"kind": "dropout", "form": "stuck", "stream": "slow", "channel": "current"},
            "process", "flat_line", "flat line, channel current",
        ),
    ],
)  # fmt: skip
def test_a_sensor_that_fails_is_not_the_machine(options: dict[str, Any], monitor: str, kind: str, words: str) -> None:
    raised, total = run(Engine(configured()), fault(**options))
    assert [(a.monitor, a.kind) for a in raised] == [(monitor, kind)]
    assert words in raised[0].text
    assert total.alarms[-1].state == "cleared"


@pytest.mark.parametrize("step", [-4 * NS, -NS // 2, NS // 2, 4 * NS])
def test_a_clock_that_jumps_is_the_clock(step: int) -> None:
    raised, _ = run(Engine(configured()), fault("clock_jump", step=step, stream="", channel=""))
    assert [(a.monitor, a.kind) for a in raised] == [("bearing", "clock")] * 2, "there and back, for all of the machine"
    assert raised[0].text == f"press1_vib time stamps stepped by {'+' if step > 0 else ''}{seconds(step)}"


TWICE = MONITORS | {"again": MONITORS["process"] | {"channels": "temperature pressure"}}


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "dropout", "form": "silent", "stream": "slow", "channel": ""},
        {"kind": "dropout", "form": "stuck", "stream": "slow", "channel": "pressure"},
        {"kind": "clock_jump", "step": 2 * NS, "stream": "", "channel": ""},
    ],
)  # fmt: skip
def test_two_monitors_of_a_stream_raise_one_alarm_of_its_sensor(options: dict[str, Any]) -> None:
    _, total = run(Engine(configured(monitors=TWICE)), fault(**options))
    states = ["raised", "cleared"] * (2 if options["kind"] == "clock_jump" else 1)
    assert [a.state for a in total.alarms] == states
    assert all(a.text.startswith(f"{a.cause.stream} ") for a in total.alarms)


def test_a_rule_gets_the_alarm_it_waits_for() -> None:
    rules = {"stop": {"monitor": "again", "source": "press1", "target": "stop", "kinds": "gap"}}
    engine = Engine(configured(monitors=TWICE, rules=rules))
    raised, total = run(engine, fault("dropout", form="silent", stream="slow", channel=""))
    assert {a.monitor for a in raised} == {"process", "again"}
    assert [a.cause.monitor for a in total.actions] == ["again"]


def test_one_stream_whose_clock_steps_alone_is_an_alarm_of_its_own() -> None:
    engine = Engine(configured())
    raised: list[Alarm] = []
    for end, items in play([Machine(Spec("press1", stops=False), 3)], 18 * NS, began=BEGAN):
        for name, at, step in (("press1_vib", 10, 3 * NS), ("press1_slow", 10.5, -NS)):
            if end > at * NS:
                items = [
                    replace(i, time=i.time + step) if isinstance(i, Batch) and i.stream == name else i for i in items
                ]
        raised += [a for a in engine.process(*items, now=BEGAN + end).alarms if a.state == "raised"]
    assert [a.text for a in raised] == [
        "press1_vib time stamps stepped by +3.0 s", "press1_slow time stamps stepped by -1.0 s",
    ]  # fmt: skip


def test_a_stop_is_no_anomaly() -> None:
    machine = Machine(Spec("press1", stops=False), 3)
    machine.stop(9 * NS, 14 * NS)
    engine = Engine(configured())
    states = []
    for end, items in play([machine], 18 * NS, began=BEGAN):
        outcome = engine.process(*items, now=BEGAN + end)
        assert outcome.alarms == []
        states += [r.state for r in outcome.results if r.monitor == "bearing"]
    assert [s for i, s in enumerate(states) if i == 0 or states[i - 1] != s] == [
        "settling", "learning", "live", "idle", "settling", "live",
    ]  # fmt: skip


def test_a_sensor_that_sticks_in_a_stop_is_found_when_the_machine_runs_again() -> None:
    stuck = fault("dropout", 9.8, 14.8, form="stuck", stream="slow", channel="pressure")
    machine = Machine(Spec("press1", stops=False), 3, (stuck,))
    machine.stop(9 * NS, 13 * NS)
    engine, alarms = Engine(configured()), []
    for end, items in play([machine], 18 * NS, began=BEGAN):
        alarms += engine.process(*items, now=BEGAN + end).alarms
    assert [(a.monitor, a.kind, a.state) for a in alarms] == [
        ("process", "flat_line", "raised"), ("process", "flat_line", "cleared"),
    ]  # fmt: skip
    assert "channel pressure" in alarms[0].text
    assert alarms[0].raised_at < BEGAN + 14.5 * NS < alarms[1].time


def test_what_was_learned_goes_into_another_engine_and_open_alarms_with_it() -> None:
    machine = Machine(Spec("press1", stops=False), 3, (fault("outer_race", 9, 15),))
    engine, before = Engine(configured()), []
    for end, items in play([machine], 20 * NS, began=BEGAN):
        if end == 12 * NS:
            states, book = engine.state(), engine.book
            engine = Engine(configured(), book)
            engine.restore(states)
        before += engine.process(*items, now=BEGAN + end).alarms
    assert [a.state for a in before] == ["raised", "cleared"]
    assert before[1].time > BEGAN + 15 * NS


def test_samples_alone_tell_the_time_when_nobody_else_does() -> None:
    total = []
    engine = Engine(configured())
    machine = Machine(Spec("press1", stops=False), 3, (fault("outer_race"), fault("dropout", 15, 17, form="silent")))
    for _, items in play([machine], 20 * NS, began=BEGAN):
        total += [a.kind for a in engine.process(*items).alarms if a.state == "raised"]
    assert total == ["process", "gap"]


def test_one_bad_monitor_does_not_stop_the_others() -> None:
    text = {
        **MONITORS,
        "wrong": {"asset": "a", "input": "press1_vib", "channels": "x w"},
        "typo": {"asset": "a", "inputt": "s"},
    }
    config, errors = tolerant({"monitors": text, "rules": RULES}, Configuration)
    assert len(errors) >= 1
    assert "monitors.typo" in str(errors[0])
    problems: dict[str, str] = {}
    raised, _ = run(Engine(config, problem=problems.__setitem__), fault("outer_race"))
    assert [a.monitor for a in raised] == ["bearing"]
    assert problems == {"wrong": "unknown channel (monitors.wrong): 'w'; the stream has x, y, z"}


@pytest.mark.parametrize(
    "change",
    [
        {"when": "running"}, {"range": {"x": "9"}}, {"learn": 0}, {"bearing": {"outer_race": 3}}, {"asset": "Press 1"},
        {"budget": "often"}, {"severity": "awful"},
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_field(change: dict[str, Any]) -> None:
    with pytest.raises(EdgeloopError, match=r"monitors\.m"):
        convert({"monitors": {"m": {"asset": "a", "input": "s"} | change}}, Configuration)


def test_rules_without_a_monitor_are_told() -> None:
    config = configured(rules={"r": {"monitor": "nobody", "source": "press1", "target": "stop"}})
    assert ["rules.r.monitor" in str(e) for e in orphans(config)] == [True]


def test_a_new_configuration_keeps_what_did_not_change() -> None:
    engine = Engine(configured())
    run(engine, seconds=13)
    changed = {"bearing": MONITORS["bearing"] | {"severity": "low"}, "process": MONITORS["process"]}
    engine.apply(configured(monitors=changed), BEGAN + 13 * NS)
    outcome = Outcome()
    for end, items in play([Machine(Spec("press1", stops=False), 3)], 15 * NS, began=BEGAN):
        if end > 13 * NS:
            outcome.results += engine.process(*items, now=BEGAN + end).results
    assert {r.state for r in outcome.results if r.monitor == "process"} == {"live"}
    assert {r.state for r in outcome.results if r.monitor == "bearing"} <= {"settling", "live"}
    assert engine.apply(configured(monitors={}, rules={}), BEGAN + 16 * NS).alarms == []
    assert engine.state() == {}


def test_an_alarm_of_a_monitor_that_is_gone_is_cleared() -> None:
    engine = Engine(configured())
    run(engine, fault("outer_race", 7, 20), seconds=12)
    assert len(engine.book.open) == 1
    (cleared,) = engine.apply(configured(monitors={}, rules={}), BEGAN + 12 * NS).alarms
    assert cleared.state == "cleared"


def test_process_change_learns_again() -> None:
    engine = Engine(configured())
    raised, _ = run(engine, fault("outer_race", 7, 60), seconds=11)
    engine.command(Acknowledge(id=raised[0].id, reason="process_change"), BEGAN + 11 * NS)
    states, alarms = [], []
    for end, items in play(
        [Machine(Spec("press1", stops=False), 3, (fault("outer_race", 7, 60),))], 25 * NS, began=BEGAN
    ):
        if end > 11 * NS:
            outcome = engine.process(*items, now=BEGAN + end)
            states += [r.state for r in outcome.results if r.monitor == "bearing"]
            alarms += [a.state for a in outcome.alarms]
    assert "learning" in states
    assert alarms == ["cleared"]


def vector(value: float | np.ndarray, index: int, n: int = 10) -> Batch:
    samples = np.broadcast_to(np.asarray(value, dtype=np.float32), (n, 2)).copy()
    return Batch("s", 1, index, BEGAN + index * NS // 10, (Channel("a"), Channel("b")), samples, rate=Fraction(10))


def feed(engine: Engine, batches: Iterable[Batch]) -> list[Alarm]:
    return [a for b in batches for a in engine.process(b, now=b.end).alarms if a.state == "raised"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30, 500.0])
def test_impossible_values_are_the_sensor(bad: float) -> None:
    rng = np.random.default_rng(1)
    config = convert(
        {"monitors": {"m": {"asset": "a", "input": "s", "learn": "10 s", "range": {"a": "0..100"}}}}, Configuration
    )
    engine = Engine(config)
    feed(engine, (vector(rng.normal(5, 1, (10, 2)), 10 * i) for i in range(30)))
    broken = []
    for i in range(30, 34):
        values = rng.normal(5, 1, (10, 2))
        values[:, 0] = bad
        broken.append(vector(values, 10 * i))
    assert "range" in {a.kind for a in feed(engine, broken)}


def test_inputs_of_two_streams_are_joined() -> None:
    rng = np.random.default_rng(1)
    config = convert({"monitors": {"m": {"asset": "a", "input": "s other", "learn": "10 s"}}}, Configuration)
    engine = Engine(config)
    raised = []
    for i in range(60):
        other = rng.normal(5, 1, (2, 1)).astype(np.float32) + (20 if i >= 45 else 0)
        second = Batch("other", 1, 2 * i, BEGAN + i * NS, (Channel("c"),), other, rate=Fraction(2))
        first = vector(rng.normal(5, 1, (10, 2)), 10 * i)
        raised += [a for a in engine.process(second, first, now=first.end).alarms if a.state == "raised"]
    assert [a.kind for a in raised] == ["process"]
    assert "other.c higher" in raised[0].text


def test_a_tick_is_one_message_until_there_are_very_many_monitors() -> None:
    def result(i: int) -> Result:
        parts = [Contribution(channel="z", band="outer-race band", ratio=6.2, z=12.1)] * 3
        return Result(
            monitor=f"press{i}_bearing", stream=f"press{i}_vib", epoch=2**64 - 1, index=i, time=BEGAN, state="live",
            score=0.1, return_time=1.0, attribution=parts, indicators={f"rms.{c}": 1.23456789 for c in "xyz"},
        )  # fmt: skip

    for n, most in ((1, 1), (2, 1), (8, 1), (20, 1), (64, 4)):
        messages = pack([result(i) for i in range(n)], site="s", device="d", component="c", time=BEGAN)
        assert len(messages) <= most
        assert all(len(m) <= LARGEST for m in messages)
        assert [r["monitor"] for m in messages for r in json.loads(m)["results"]] == [
            f"press{i}_bearing" for i in range(n)
        ]
    document = json.loads(pack([result(1)], site="s", device="d", component="c", time=BEGAN)[0])
    assert set(document) >= {"schema", "site", "device", "component", "time", "time_rfc3339", "model", "results"}
    assert set(document["results"][0]) >= {
        "monitor", "stream", "epoch", "index", "time", "score", "return_time", "attribution", "state", "indicators",
    }  # fmt: skip


def test_the_declared_configuration_is_plain_data() -> None:
    plain = json.loads(json.dumps(schema.defaults(Configuration)))
    assert plain["monitors"] == {}
    assert convert(plain, Configuration) == Configuration()


def test_the_engine_sees_nothing_of_what_is_to_come() -> None:
    """Cut short, a run says the same up to the cut."""

    def alarms(seconds: int) -> list[tuple[str, int]]:
        raised, _ = run(Engine(configured()), fault("outer_race"), seconds=seconds)
        return [(a.text, a.raised_at) for a in raised]

    assert alarms(12) == alarms(18)


def test_items_of_other_streams_and_empty_ticks_are_nothing() -> None:
    engine = Engine(configured())
    assert engine.process(now=BEGAN).results == []
    other: list[Item] = [vector(1.0, 0), RecordBatch("x", 1, 0, np.array([1]), {})]
    assert engine.process(*other, now=BEGAN).results == []


def test_the_sample_is_a_configuration() -> None:
    sample = Path(anomaly_inference.__file__).with_name("sample.yaml")
    config = convert(yaml.safe_load(sample.read_text()), Configuration)
    assert set(config.monitors) == {"press1_bearing", "press1_process"}
    assert orphans(config) == []


def test_a_registered_detector_is_named_like_the_others() -> None:
    class Ceiling:
        """Abnormal above 10."""

        learned = 1.0

        def __init__(self, setup: Setup) -> None:
            self.columns = setup.columns

        def update(self, rows: Rows, context: Context) -> Scores:
            found = Scores.none(len(rows))
            found.alert[:] = rows.values[:, 0] > 10
            found.return_time[:] = np.where(found.alert, 12.0, 0.0)
            return found

        def words(self, at: int) -> tuple[str, tuple[Contribution, ...]]:
            return f"{self.columns[0]} above its ceiling", ()

        def interrupt(self) -> None: ...

        def calm(self) -> None: ...

        def accept(self) -> None: ...

        def relearn(self) -> None: ...

        def state(self) -> dict[str, Any]:
            return {}

        def restore(self, state: Any) -> bool:
            return True

    if "ceiling" not in DETECTORS.names:
        DETECTORS.add(DetectorType("ceiling", "condition", Ceiling, 1, cost="nothing", source="this test"))
    config = convert({"monitors": {"m": {"asset": "a", "input": "s", "detect": "ceiling"}}}, Configuration)
    engine = Engine(config)
    values = np.full((300, 1), 5.0)
    values[200:220] = 11
    told = [
        a
        for i in range(0, 300, 10)
        for a in engine.process(
            Batch("s", 1, i, BEGAN + i * NS, (Channel("x"),), values[i : i + 10], rate=Fraction(1))
        ).alarms
    ]
    assert [(a.kind, a.state, a.text) for a in told if a.kind == "process"] == [
        ("process", "raised", "x above its ceiling"),
        ("process", "cleared", "x above its ceiling"),
    ]
    with pytest.raises(EdgeloopError, match="no such detector"):
        DETECTORS["ceilings"]
