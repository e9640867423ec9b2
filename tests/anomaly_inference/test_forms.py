"""What another version saved: what cannot be used is learned again, with one line; nothing crashes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import OWN, Engine
from anomaly_inference.monitor import ANEW
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect import state as files
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
FOLDER = Path(__file__).parent / "from_0_1_0"
CONFIG = convert({"monitors": {"m": {"asset": "a", "input": "s", "settle": "0 s", "learn": "20 s"}}}, Configuration)
CHANNELS = (Channel("x", "1"), Channel("y", "1"))


def batches(first: int, count: int) -> list[Batch]:
    dice = np.random.default_rng(first)
    rows = [(first + n, BEGAN + (first + n) * NS // 10) for n in range(0, count, 10)]
    return [
        Batch(
            stream="s",
            epoch=1,
            index=i,
            time=t,
            channels=CHANNELS,
            samples=dice.normal(size=(10, 2)),
            rate=Fraction(10),
        )
        for i, t in rows
    ]


def learned() -> dict[str, dict[str, Any]]:
    engine = Engine(CONFIG)
    for batch in batches(0, 400):
        engine.process(batch)
    return {name: dict(state) for name, state in engine.state().items()}


KEYS = sorted(learned()["m"])


@pytest.mark.parametrize("change", ["gone", "added"])
def test_any_part_of_another_form(change: str) -> None:
    state = learned()
    for key in KEYS:
        other = dict(state["m"])
        if change == "gone":
            del other[key]
        else:
            other[f"{key}.new"] = np.zeros(3)
        lines: dict[str, str] = {}
        engine = Engine(CONFIG, problem=lines.__setitem__)
        engine.restore({"m": other, OWN: state[OWN]})
        results = [engine.process(batch).results for batch in batches(400, 30)]
        assert all(r for r in results), key
        said = lines.get("m", "")
        assert said in ("", ANEW), (key, said)


def test_what_is_known_goes_on_live() -> None:
    engine = Engine(CONFIG)
    engine.restore(learned())
    assert [engine.process(batch).results[0].state for batch in batches(400, 30)] == ["live"] * 3


@pytest.mark.parametrize(("name", "rate"), [("states", 1), ("levels", 10)])
def test_what_0_1_0_learned_is_not_learned_anew(name: str, rate: int) -> None:
    config = convert({"monitors": {"m": {"asset": "a", "input": "s", "learn": "60 s"}}}, Configuration)
    lines: dict[str, str] = {}
    engine = Engine(config, problem=lines.__setitem__)
    engine.restore(files.load(FOLDER / f"{name}.npz"))
    rows = np.random.default_rng(6).normal(5, 1, (10, 1))
    batch = Batch("s", 1, 400, BEGAN + 400 * NS // rate, (Channel("x"),), rows, rate=Fraction(rate))
    (result,) = engine.process(batch).results
    assert (result.learned, lines) == (1.0, {}) or rate == 10
    assert result.state == ("live" if rate == 1 else "learning")


def test_what_was_learned_before_there_were_seasons_is_known() -> None:
    config = convert({"monitors": {"m": {"asset": "a", "input": "s", "learn": "3 h", "gap": "0 s"}}}, Configuration)
    rows = np.random.default_rng(5).normal(size=(260, 2))
    told: dict[str, str] = {}

    def minutes(engine: Engine, first: int, end: int) -> str:
        batch = Batch("s", 1, first, BEGAN + first * 60 * NS, CHANNELS, rows[first:end], rate=Fraction(1, 60))
        return engine.process(batch).results[0].state

    one, other = Engine(config), Engine(config, problem=told.__setitem__)
    assert minutes(one, 0, 250) == "live"
    states = {name: dict(state) for name, state in one.state().items()}
    assert any(key.startswith("detector.season.") for key in states["m"])
    states["m"] = {key: value for key, value in states["m"].items() if not key.startswith("detector.season.")}
    other.restore(states)
    assert minutes(other, 250, 260) == "live"
    assert ANEW not in told.get("m", "")
