"""What others say on the bus, well-formed or not, ends no page."""

from __future__ import annotations

import json
from typing import Any

from edgeloop import topics
from edgeloop.bus import Bus

RESULTS = topics.results("io.edgeloop.AnomalyInference")
HOSTILE = [
    b"", b"{", b"[]", b'{"results": 5}', b'{"results": [5]}', b'{"results": [{"monitor": 7}]}',
    b'{"results": [{"monitor": "m", "return_time": "much"}]}', b'{"results": [{"monitor": "m", "score": null}]}',
    b'{"results": [{"camera": "c", "time": -1, "decided": 1e400}]}', b'{"results": [{}]}',
    b'{"problems": [{"line": 5}], "process": {"memory_mb": "x"}}', b'{"counters": {"pass.c": "many"}}', b"[" * 3_000,
]  # fmt: skip


def test_hostile_messages_end_nothing_and_the_next_is_shown(alone: Any) -> None:
    token = alone.user("add", "mes", "--role", "viewer", "--token")
    with Bus(alone.root / "ipc.socket", alone.backend.add("a.tool", unrestricted=True), name="a.tool") as bus:
        assert bus.wait_connected(30)
        for topic in (RESULTS, topics.alarm("a1"), topics.health("io.edgeloop.AnomalyInference")):
            for payload in HOSTILE:
                assert bus.publish(topic, payload)
        good = {"results": [{"camera": "gate", "time": 5, "decided": 6, "verdict": "fail", "label": "dent"}]}
        bus.publish(RESULTS, json.dumps(good).encode())
        parts = alone.wait(lambda: alone.ask("/api/v1/parts", token=token).json["parts"], 30, "the part")
    assert [(part["camera"], part["label"]) for part in parts] == [("gate", "dent")]
    assert alone.ask("/api/v1/line", token=token).status == 200
    assert alone.processes["console"].poll() is None


def test_an_unknown_line_is_told_as_it_is(alone: Any) -> None:
    """Nothing is green where nothing was heard of."""
    token = alone.user("add", "mes", "--role", "viewer", "--token")
    components = alone.ask("/api/v1/line", token=token).json["components"]
    assert {one["state"] for one in components if one["name"] != "Console"} <= {"unheard", "absent"}
