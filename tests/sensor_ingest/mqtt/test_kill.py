"""`kill -9` with the settings as they come: every message of QoS 1 is in the journal, once."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import numpy as np

from edgeloop.clock import NS

BEGAN = 1_700_000_000_000


MESSAGES, RATE = int(os.environ.get("EDGELOOP_KILL_MESSAGES", "1500")), 1000


def test_nothing_is_lost_or_doubled(plant: Any, make_broker: Any, make_device: Any) -> None:
    n, rate = MESSAGES, RATE
    broker = make_broker(lines="allow_anonymous true\nmax_queued_messages 0")
    device = make_device(broker, configure=lambda client: client.max_inflight_messages_set(1000))
    topics = {"a": {"filter": "a", "time": "t", "rate": f"{rate} Hz", "channels": {"x": "x"}}}
    plant.configure(sources={"w": {"type": "mqtt", "broker": broker.url, "client": "edge", "topics": topics}})
    process = plant.start()
    plant.wait(lambda: "subscribed" in plant.log())
    sent = threading.Event()

    def send() -> None:
        begun = time.monotonic()
        for i in range(n):
            device.client.publish("a", json.dumps({"x": i, "t": BEGAN + i * 1000 // rate}), 1)
            time.sleep(max(0.0, begun + i / rate - time.monotonic()))
        sent.set()

    threading.Thread(target=send, daemon=True).start()
    for part in (1, 2):
        plant.wait(lambda part=part: len(values(plant)) > part * n // 4, 120)
        process.kill()
        process.wait()
        process = plant.start()
    plant.wait(lambda: sent.is_set() and len(values(plant)) >= n, 180)
    found = values(plant)
    assert np.array_equal(np.unique(found), np.arange(n))
    assert len(found) == n
    first = next(i for i in plant.journal() if i.stream == "w")
    assert first.time == BEGAN * NS // 1000


def values(plant: Any) -> Any:
    return np.concatenate([np.empty(0), *(i.samples[:, 0] for i in plant.journal() if i.stream == "w")])
