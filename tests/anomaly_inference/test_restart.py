"""A restart in the middle of a stream changes no later score."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.learned import PLACE
from anomaly_inference.reporter import RowScores
from edgeloop import clock
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect import state as files
from edgeloop.journal import START
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Channel, Item

BEGAN = 1_700_000_000 * NS
MACHINE: dict[str, Any] = {
    "bearing": {
        "asset": "press1", "input": "press1_vib", "when": "press1_plc.running", "per": "press1_plc.product",
        "settle": "1 s", "learn": "4 s", "shaft": "29.95 Hz", "bearing": {"outer_race": 3.585},
    },
    "process": {
        "asset": "press1", "input": "press1_slow", "when": "press1_plc.running", "per": "press1_plc.product",
        "settle": "1 s", "learn": "6 s",
    },
}  # fmt: skip


class Told:
    """Everything that was scored, as bytes."""

    def __init__(self) -> None:
        self.scores: list[tuple[Any, ...]] = []

    def __call__(self, monitor: str, batch: Batch, scores: RowScores) -> None:
        arrays = (scores.condition, scores.abnormal, scores.changepoint, scores.event, scores.alert)
        assert np.isfinite(scores.condition).all()
        assert np.isfinite(scores.event).all()
        where = monitor, batch.epoch, batch.index + scores.first, scores.state
        self.scores.append((*where, *(a.tobytes() for a in arrays)))


def compare(monitors: dict[str, Any], items: Sequence[Sequence[Item]], cuts: Sequence[int], folder: Path) -> Told:
    """RowScores of an engine that goes on, and of one that is made anew at each cut; the former."""
    config = convert({"monitors": monitors}, Configuration)
    whole, parts = Told(), Told()
    on, off = Engine(config, tap=whole), Engine(config, tap=parts)
    for i, tick in enumerate(items):
        if i in cuts:
            files.save(folder / "learned.npz", off.state())
            off = Engine(config, off.book, tap=parts)
            off.restore(files.load(folder / "learned.npz"))
        on.process(*tick)
        off.process(*tick)
    assert len(whole.scores) > 100
    assert whole.scores == parts.scores
    return whole


@pytest.mark.parametrize("cuts", [(30,), (95, 210, 211), (150, 230, 290)])
def test_of_a_machine_with_products_and_a_fault(cuts: tuple[int, ...], tmp_path: Path) -> None:
    fault = Fault("f", "outer_race", "press1", "z", 10 * NS, 14 * NS, 0.8, stream="vib")
    ticks = [items for _, items in play([Machine(Spec("press1"), 3, (fault,))], 16 * NS, began=BEGAN)]
    told = compare(MACHINE, ticks, cuts, tmp_path)
    assert {s[3] for s in told.scores} >= {"learning", "live"}


@pytest.mark.parametrize("detect", ["events conditions", "levels", "events"])
@pytest.mark.parametrize("cuts", [(3,), (40, 41, 90)])
def test_of_slow_rows_with_a_joined_input(detect: str, cuts: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    ticks: list[list[Item]] = []
    at = 0
    for i in range(120):
        n = int(rng.integers(1, 9))
        values = rng.normal(5, 1, (n, 2)) + (20 * (80 < i < 90))
        values[rng.random((n, 2)) < 0.03] = rng.choice([np.nan, np.inf])
        other = Batch("other", 1, i, BEGAN + at * NS, (Channel("c"),), rng.normal(5, 1, (1, 1)), rate=Fraction(1, 5))
        rows = Batch("s", 1, at, BEGAN + at * NS, (Channel("a"), Channel("b")), values, rate=Fraction(1))
        ticks.append([other, rows] if i % 3 else [rows])
        at += n
    monitor = {"asset": "a", "input": "s other", "learn": "60 s", "detect": detect, "budget": "1 alarm/h"}
    compare({"m": monitor}, ticks, cuts, tmp_path)


def test_how_rows_are_cut_into_batches_is_nothing_to_a_score() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(5, 1, (900, 2))
    values[400:440] = values[400]
    values[600:640, 1] += 8

    def scored(length: int) -> tuple[bytes, bytes, bytes]:
        config = convert({"monitors": {"m": {"asset": "a", "input": "s", "learn": "100 s"}}}, Configuration)
        found: list[RowScores] = []
        engine = Engine(config, tap=lambda monitor, batch, scores: found.append(scores))
        for at in range(0, len(values), length):
            part = values[at : at + length]
            time = BEGAN + at * NS
            engine.process(Batch("s", 1, at, time, (Channel("a"), Channel("b")), part, rate=Fraction(1)))
        parts = ("condition", "abnormal", "event")
        first, second, third = (np.concatenate([getattr(s, name) for s in found]).tobytes() for name in parts)
        return first, second, third

    assert scored(1) == scored(7) == scored(256)


def test_learned_elsewhere_is_learned_again_and_said() -> None:
    def engine(learn: str) -> tuple[Engine, dict[str, str]]:
        lines: dict[str, str] = {}
        config = convert({"monitors": {"m": {"asset": "a", "input": "s", "learn": learn}}}, Configuration)
        return Engine(config, problem=lines.__setitem__), lines

    one, _ = engine("100 s")
    rows = np.random.default_rng(1).normal(size=(150, 1))
    one.process(Batch("s", 1, 0, BEGAN, (Channel("a"),), rows, rate=Fraction(1)))
    other, lines = engine("200 s")
    other.restore(one.state())
    result = other.process(Batch("s", 1, 150, BEGAN + 150 * NS, (Channel("a"),), rows, rate=Fraction(1))).results[0]
    assert result.state == "learning"
    assert "learning again" in lines["m"]


CONFIGURATION: dict[str, Any] = {
    "monitors": {
        "press1_bearing": {"asset": "press1", "input": "press1_vib", "when": "press1_plc.running", "learn": "3 s"},
        "press1_process": {"asset": "press1", "input": "press1_slow", "when": "press1_plc.running", "learn": "3 s"},
    },
    "save": "200 ms",
    "silence": "60 s",
}
SECONDS = 12


def _served(site: Any, began: int, kill: Callable[[Any], None] | None) -> dict[str, dict[str, Any]]:
    """What a service has learned at its end, and where it stands, after the same samples."""
    work = site.root / "work" / "io.edgeloop.AnomalyInference"
    work.mkdir(parents=True, exist_ok=True)
    beginning = {"segment": np.array([START.segment]), "offset": np.array([START.offset])}
    files.save(work / "learned.npz", {PLACE: beginning})
    site.start(CONFIGURATION)
    ticks = play([Machine(Spec("press1", stops=False), 5)], SECONDS * NS, began=began, epoch=77)
    for i, (_, items) in enumerate(ticks):
        site.samples.tick(items)
        if kill is not None and i in (90, 160):
            kill(site)
    last = began + SECONDS * NS - NS // 5
    for wanted in CONFIGURATION["monitors"]:

        def arrived(topic: str, document: dict[str, Any], wanted: str = wanted) -> bool:
            return any(r["monitor"] == wanted and r["time"] >= last for r in document.get("results", ()))

        if not any(arrived(topic, document) for topic, document in site.seen):
            site.wait(arrived, 60)
    assert site.kill(signal.SIGTERM) == 0
    return files.load(work / "learned.npz")


@pytest.mark.long
def test_of_the_service_killed_twice(site: Any, tmp_path: Path) -> None:
    """Two services see the same samples, one is killed: what they have learned is the same to the bit."""

    def kill(killed: Any) -> None:
        killed.wait(lambda t, d: any(r["state"] != "idle" for r in d.get("results", ())), 30)
        killed.kill(signal.SIGKILL)
        killed.start(CONFIGURATION)

    began = clock.now() - 3600 * NS
    killed = _served(site, began, kill)
    other = type(site)(tmp_path)
    try:
        steady = _served(other, began, None)
    finally:
        other.close()
    for monitor in CONFIGURATION["monitors"]:
        assert killed[monitor].keys() == steady[monitor].keys()
        for key, value in steady[monitor].items():
            if key in ("sensors.conditions", "shape"):  # whether nothing comes is a matter of the clock on the wall
                continue
            assert np.array_equal(killed[monitor][key], value, equal_nan=value.dtype.kind == "f"), (monitor, key)
