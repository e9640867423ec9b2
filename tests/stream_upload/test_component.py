"""From the journal to S3 and Kinesis and back, with everything real."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import edgeloop
from edgeloop.clock import NS, now
from edgeloop.wire.batch import Batch, Channel, Clock, Column, RecordBatch

NTP = Clock("ntp")


def vibration(epoch: int, index: int, rows: int, time: int, **more: Any) -> Batch:
    samples = np.random.default_rng(index).integers(-3000, 3000, (rows, 3)).astype("<i2")
    channels = tuple(Channel(name, "m/s2", 0.0049) for name in "xyz")
    return Batch("press1_vib", epoch, index, time, channels, samples, rate=Fraction(2560), clock=NTP, **more)


def test_what_was_journalled_is_read_back(core: Any, endpoint: Any, bucket: str, until: Any) -> None:
    core.start_manager()
    core.start({"bucket": bucket, "every": "1 s", "fast": {"policy": "all"}, "indicators": "0 s"})
    begin = now() // NS * NS - 10 * NS
    for k in range(40):
        core.journal.append([vibration(core.journal.epoch, 512 * k, 512, begin + k * NS // 5)])
    until(lambda: core.numbers.get("samples", 0) == 40 * 512, "reading")
    until(lambda: len(endpoint.objects(bucket)) >= 7, "the objects")
