"""Ticks that are lost and engines that are made anew: whatever batches come of it, no monitor fails."""

from __future__ import annotations

import random

import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop_tools.demo.plan import machines

BEGAN = 1_700_000_000 * NS


@pytest.mark.parametrize("seed", [112, 113])
def test_lost_ticks_and_restarts_fail_no_monitor(seed: int) -> None:
    rng = random.Random(seed)
    configuration = convert({"monitors": machines(["press1"], seed).monitors}, Configuration)
    told: list[str] = []

    def made(book: Engine | None = None) -> Engine:
        return Engine(
            configuration, book.book if book else None, lambda monitor, line: told.append(line) if line else None
        )

    engine = made()
    results = 0
    spec = Spec("press1", stops=rng.random() < 0.7)
    for now, items in play([Machine(spec, seed)], 60 * NS, tick=rng.choice([50, 50, 200, 400]) * 1_000_000):
        if rng.random() < 0.2:
            continue
        if rng.random() < 0.02:
            state = engine.state()
            engine = made(engine)
            engine.restore(state)
            if rng.random() < 0.5:
                engine.skipped()
        results += len(engine.process(*items, now=BEGAN + now).results)
    assert [line for line in told if "unexpectedly" in line] == []
    assert results > 50
