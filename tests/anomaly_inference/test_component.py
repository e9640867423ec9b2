from __future__ import annotations

import json
import signal
import stat
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edgeloop import clock, topics
from edgeloop.clock import NS
from edgeloop.queue import QueueReader
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Item

CONFIGURATION: dict[str, Any] = {
    "site": "hall3",
    "monitors": {
        "press1_bearing": {
            "asset": "press1", "input": "press1_vib", "when": "press1_plc.running", "settle": "1", "learn": "4 s",
            "shaft": "29.95", "bearing": {"outer_race": "3.585"}, "severity": "high",
        },
        "press1_process": {"asset": "press1", "input": "press1_slow", "learn": "4 s", "when": "press1_plc.running"},
        "broken": {"asset": "press1", "input": "press1_slow", "learn": "a while"},
    },
    "rules": {"stop_press1": {"monitor": "press1_bearing", "source": "press1", "target": "stop", "value": "1"}},
    "save": "500 ms",
}  # fmt: skip
LENGTH, ONSET, END = 26, 9, 16


class Feed:
    """Ticks of 50 ms in real time, or ahead of it."""

    def __init__(self, site: Any) -> None:
        fault = Fault("f", "outer_race", "press1", "z", ONSET * NS, END * NS, 0.9, stream="vib")
        self.began = clock.now()
        self.ticks: Iterator[tuple[int, list[Item]]] = play(
            [Machine(Spec("press1", stops=False), 5, (fault,))], LENGTH * NS, began=self.began, epoch=site.journal.epoch
        )
        self.site = site
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for end, items in self.ticks:
            if self.done.wait(max(0, (self.began + end - clock.now()) / NS)):
                return
            self.site.samples.tick(items)

    def stop(self) -> None:
        """To be called before the site closes its journal."""
        self.done.set()
        self.thread.join(60)


@pytest.mark.long
def test_from_samples_to_alarm_and_action_across_a_kill(site: Any) -> None:
    site.start(CONFIGURATION)
    site.wait(lambda t, d: t == topics.health("AnomalyInference"))
    feed = Feed(site)
    site.on_close(feed.stop)
    first = site.wait(lambda t, d: t == topics.results("AnomalyInference"))
    assert first["site"], first["device"] == ("hall3", "laptop")
    assert {r["state"] for r in first["results"]} <= {"idle", "settling", "learning"}
    site.wait(lambda t, d: "results" in d and any(r["state"] == "live" for r in d["results"]))
    degraded = [d for t, d in site.seen if t == topics.health("AnomalyInference")][-1]
    assert degraded["state"] == "degraded"
    assert "monitors.broken.learn" in json.dumps(degraded)

    raised = site.wait(lambda t, d: d.get("state") == "raised")
    assert (raised["monitor"], raised["kind"], raised["asset"]) == ("press1_bearing", "process", "press1")
    assert raised["severity"] == "high"
    assert "band ×" in raised["text"]
    assert feed.began + ONSET * NS < raised["sample_time"] < feed.began + END * NS
    assert raised["cause"]["epoch"] == site.journal.epoch
    action = next((d for t, d in site.seen if t == topics.action("press1")), None)
    action = action or site.wait(lambda t, d: t == topics.action("press1"))
    assert (action["target"], action["value"], action["armed"]) == ("stop", 1.0, False)
    assert action["cause"]["alarm"] == raised["id"]
    assert action["expires"] - action["issued"] == 2 * NS

    site.kill(signal.SIGKILL)
    site.start(CONFIGURATION)
    live = site.wait(lambda t, d: any(r["monitor"] == "press1_bearing" for r in d.get("results", ())))
    states = {r["state"] for r in live["results"] if r["monitor"] == "press1_bearing"}
    assert "learning" not in states, "what was learned survives"
    acknowledge = {"command": "acknowledge", "id": raised["id"], "reason": "true", "by": "kim"}
    site.bus.publish(topics.ALARM_COMMANDS, json.dumps(acknowledge).encode())
    known = site.wait(lambda t, d: d.get("state") in ("acknowledged", "cleared"))
    assert known["id"] == raised["id"]
    if known["state"] == "acknowledged":
        assert (known["reason"], known["by"]) == ("true", "kim")
        known = site.wait(lambda t, d: d.get("state") == "cleared")
    assert known["time"] > feed.began + END * NS
    assert len({a["id"] for a in site.alarms()}) == 1, "neither lost nor repeated"
    feed.stop()
    assert site.kill(signal.SIGTERM) == 0
    work = site.root / "work" / "io.edgeloop.AnomalyInference"
    assert stat.S_IMODE((work / "alarms.jsonl").stat().st_mode) == 0o600
    reader = QueueReader(site.root, "io.edgeloop.AnomalyInference")
    waiting = {kind: [e for e in reader.entries() if e.kind == kind] for kind in ("alarms", "results")}
    changes = [json.loads(record) for entry in waiting["alarms"] for record, _, _ in reader.records(entry, 0).found]
    assert {a["id"] for a in changes} == {raised["id"]}, "what goes up is what was announced"
    assert [a["state"] for a in changes][:1] == ["raised"]
    assert waiting["results"]
    lines = (site.root / "component.log").read_text().splitlines()
    assert all(line.startswith("{") for line in lines), "one line of JSON each, no traceback"
    sizes = [len(json.dumps(d)) for t, d in site.seen if t == topics.results("AnomalyInference")]
    assert max(sizes) < 8_000
