from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.sequence import Stream
from edgeloop.wire.batch import Channel
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.mqtt import SOURCE


def running(outlet: Rehearsal, broker: Any, **options: Any) -> Running:
    return Running(SOURCE, outlet, type="mqtt", broker=broker.url, **options)


def subscribed(source: Running) -> None:
    source.until(lambda: any("subscribed" in line for line in source.outlet.lines))


def test_what_a_device_publishes_becomes_samples(tmp_path: Path, broker: Any, device: Any) -> None:
    outlet = Rehearsal("hall", tmp_path)
    channels = {"temp": "data.t Cel", "load": "data.load % *100"}
    topics = {"state": {"filter": "plant/+/state", "stream": "{1}", "channels": channels, "time": "ts"}}
    with running(outlet, broker, topics=topics) as source:
        subscribed(source)
        for i in range(100):
            payload = {"ts": 1_700_000_000_000 + 100 * i, "data": {"t": 20 + i, "load": 0.5}}
            device.publish("plant/Press 1/state", json.dumps(payload))
            device.publish("plant/p2/state", json.dumps(payload))
        source.until(lambda: len(outlet.samples("hall_press_1")) == len(outlet.samples("hall_p2")) == 100)
    assert outlet.streams["hall_p2"] == Stream("hall_p2", (Channel("temp", "Cel"), Channel("load", "%", 100.0)))
    assert (outlet.samples("hall_p2")[:, 0] == np.arange(20, 120)).all()
    assert not outlet.problems
