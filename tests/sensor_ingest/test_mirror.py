from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from edgeloop.clock import NS
from edgeloop.sequence import Samples
from edgeloop.wire.batch import Batch, Channel, Clock, Column, RecordBatch
from sensor_ingest.mirror import Mirror, document
from sensor_ingest.standstill import LONG, MANY, Standstill

CHANNELS = (Channel("temp", "Cel", 0.1, -40.0),)


def batch(stream: str, index: int) -> Batch:
    return Batch(stream, 5, index, index * NS, CHANNELS, np.array([[100], [200]], np.int16), rate=Fraction(1))


def test_the_newest_sample_goes_out_so_often_at_most() -> None:
    said: list[tuple[str, Any]] = []
    now = 0.0
    mirror = Mirror(lambda topic, document: said.append((topic, document)), lambda: now)
    for i in range(101):
        now = i / 10
        mirror.offer(
            [batch("a", 2 * i), batch("b", 2 * i), batch("a", 2 * i + 2)], {"a": Fraction(1), "never": Fraction(1)}
        )
    assert [topic for topic, _ in said] == ["edgeloop/mirror/a"] * 11
    assert said[0][1]["values"] == {"temp": np.float32(200) * np.float32(0.1) - 40}
    assert (said[0][1]["index"], said[0][1]["time"], said[0][1]["units"]) == (3, 3 * NS, {"temp": "Cel"})


def test_records_are_mirrored_in_words() -> None:
    columns = {
        "on": Column("bool", np.array([0, 1], np.uint8)),
        "mode": Column("enum", np.array([1, 0], np.int32), ("off", "auto")),
    }
    said = document(RecordBatch("plc", 1, 7, np.array([1, 2]), columns))
    assert said["values"] == {"on": True, "mode": "off"}
    assert said["index"] == 8


def test_a_source_clock_that_stands_is_marked_until_it_moves() -> None:
    now = 0.0
    look = Standstill(lambda: now)

    def chunk(at: int, source: Any = "device") -> Samples:
        return Samples("s", np.zeros((1, 1)), times=np.array([at]), clock=Clock(source))

    stood = []
    for i in range(2 * MANY):
        now = i * LONG / MANY
        found, stands = look.look(chunk(1000))
        assert (found.clock == Clock("device")) is not stands
        stood.append(stands)
    assert stood == [False] * MANY + [True] * MANY
    assert look.stands("s")
    assert look.look(chunk(2000))[1] is False
    assert not look.stands("s")
    assert not any(look.look(chunk(3000, "ntp"))[1] for _ in range(50))
