"""What analyses find, from IoT Core to the book, the operator's word and the label; settings within bounds."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edgeloop import topics
from edgeloop.fleet import topic
from edgeloop.queue import QueueReader

NAME = "io.edgeloop.AnomalyInference"
PATH = "monitors.press7_bearing.budget"
LINE: dict[str, Any] = {
    "site": "Halle 3",
    "monitors": {"press7_bearing": {"asset": "press7", "input": "press7_vib", "gap": "0"}},
    "alarms": {"chatter": "1000", "most": "10000"},
    "fleet": {"findings": "true", "set": {PATH: "1 alarm/month .. 1 alarm/day"}},
}
ROUNDS = 100 if os.environ.get("EDGELOOP_LONG") else 6


def finding(id: str = "f1", words: str = "z velocity meets its limit in 12 days", **more: Any) -> dict[str, Any]:
    later = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    return {
        "id": id, "analysis": "forecast", "version": "1", "device": "laptop", "stream": "press7_vib", "channel": "z",
        "indicator": "velocity", "kind": "forecast", "severity": "medium", "words": words, "since": "2026-03-01",
        "seen": "2026-05-30", "until": later, "evidence": {"days": 12.0}, "set": {},
    } | more  # fmt: skip


def say(site: Any, revision: int, *findings: dict[str, Any], asset: str = "press7", where: str = "Halle 3") -> None:
    message = {"schema": 1, "revision": revision, "site": where, "asset": asset, "findings": list(findings)}
    site.fault("iot_publish", topic=topic(where, asset), payload=json.dumps(message), retain=True)


def fleet(topic: str, document: dict[str, Any]) -> bool:
    return topic.startswith("edgeloop/alarms/") and document["kind"] == "fleet"


def test_a_finding_is_an_alarm_is_acknowledged_and_is_a_label(site: Any) -> None:
    site.start(LINE)
    ready(site)
    began = time.monotonic()
    say(site, 7, finding())
    alarm = site.wait(fleet)
    assert time.monotonic() - began < 60
    assert (alarm["asset"], alarm["monitor"], alarm["severity"], alarm["state"]) == (
        "press7", "fleet_f1", "medium", "raised",
    )  # fmt: skip
    assert alarm["text"] == "z velocity meets its limit in 12 days (forecast)"
    say(site, 7, finding())
    say(site, 6)
    say(site, 8, finding(words="z velocity meets its limit in 5 days", severity="high"))
    again = site.wait(fleet)
    assert (again["id"], again["severity"], again["state"]) == (alarm["id"], "high", "raised")
    site.bus.publish_document(
        topics.ALARM_COMMANDS, {"command": "acknowledge", "id": alarm["id"], "reason": "true", "by": "anna"}
    )
    assert site.wait(fleet)["state"] == "acknowledged"
    say(site, 9)
    assert site.wait(fleet)["state"] == "cleared"
    assert site.kill(signal.SIGTERM) == 0
    reader = QueueReader(site.root, NAME)
    entries = [entry for entry in reader.entries() if entry.kind == "labels"]
    labels = [json.loads(record) for entry in entries for record, _, _ in reader.records(entry, 0).found]
    assert next((x["alarm"], x["reason"], x["by"], x["kind"]) for x in labels) == (alarm["id"], "true", "anna", "fleet")
    assert (labels[0]["stream"], labels[0]["start"]) == ("press7_vib", 1_772_323_200_000_000_000)


def test_what_is_not_for_this_line_or_over_raises_nothing(site: Any) -> None:
    site.start(LINE)
    ready(site)
    say(site, 1, finding("other"), asset="press8")
    say(site, 1, finding("abroad"), where="Halle 4")
    site.fault("iot_publish", topic=topic("Halle 3", "press7"), payload="no json", retain=True)
    site.wait(lambda t, d: "fleet.findings" in str(d.get("problems")))
    wrong = {"id": "NO", "words": "w"}
    say(site, 2, wrong, finding("late", until="2026-01-02"), finding("there", device="core9"), finding("good"))
    assert site.wait(fleet)["monitor"] == "fleet_good"
    assert site.kill(signal.SIGTERM) == 0
    assert [d["monitor"] for d in site.alarms() if d["kind"] == "fleet"] == ["fleet_good"]


def test_a_setting_within_bounds_is_applied_and_undone(site: Any) -> None:
    site.start(LINE)
    ready(site)
    soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()
    daring = finding("b", set={PATH: "5 alarms/h"})
    say(site, 1, finding("a", set={PATH: "2 alarms/week"}, until=soon), daring, finding("c", set={"rules.x.y": 1}))
    refused = site.wait(lambda t, d: "fleet.set" in str(d.get("problems")))
    assert "the line does not allow it" in str(refused["problems"])
    kept = json.loads((site.root / "work" / NAME / "fleet.json").read_bytes())["applied"][PATH]
    assert (kept["value"], kept["was"], kept["finding"]) == ("2 alarms/week", "1 alarm/week", "a")
    site.wait(lambda t, d: fleet(t, d) and d["monitor"] == "fleet_a" and d["state"] == "cleared")
    site.wait(lambda t, d: "5 alarms/h is not within" in str(d.get("problems")))
    assert site.kill(signal.SIGTERM) == 0
    journal = (site.root / "work" / NAME / "fleet.jsonl").read_text()
    assert journal.count('"event":"applied"') == journal.count('"event":"undone"') == 1


@pytest.mark.parametrize("site", ["classic", "lite"], indirect=True)
def test_nothing_is_lost_or_doubled_over_disconnections(site: Any) -> None:
    """Lists change while the line is away, messages come twice and late, the component dies: the alarms are those of
    the last list, each once."""
    site.start(LINE)
    ready(site)
    chance = random.Random(5)
    revision, standing, said = 0, frozenset[str](), []
    raises, clears = Counter[str](), Counter[str]()
    for turn in range(ROUNDS):
        if offline := chance.random() < 0.7:
            site.fault("iot_offline", offline=True)
        for _ in range(chance.randrange(1, 4)):
            revision += 1
            now = frozenset(f"f{n}" for n in range(5) if chance.random() < 0.5)
            message = (revision, *(finding(id, f"{id} of {revision}") for id in sorted(now)))
            say(site, *message)
            said.append(message)
        if turn % 10 == 9:
            site.kill(signal.SIGKILL)
            site.start(LINE)
        if offline:
            site.fault("iot_offline", offline=False)
        if len(said) > 2 and chance.random() < 0.5:
            late = json.dumps({"revision": said[-3][0], "findings": list(said[-3][1:])})
            site.fault("iot_publish", topic=topic("Halle 3", "press7"), payload=late)
        standing = now
        revision += 1
        mark = f"m{revision}"
        say(site, revision, *(finding(id, f"{id} of {revision}") for id in sorted(standing)), finding(mark))
        said.append((revision, *(finding(id, f"{id} of {revision}") for id in sorted(standing)), finding(mark)))
        site.wait(lambda t, d, mark=mark: fleet(t, d) and d["monitor"] == f"fleet_{mark}" and d["state"] == "raised")
    revision += 1
    say(site, revision, finding("end"))
    site.wait(lambda t, d: fleet(t, d) and d["monitor"] == "fleet_end")
    say(site, revision + 1)
    site.wait(lambda t, d: fleet(t, d) and d["monitor"] == "fleet_end" and d["state"] == "cleared")
    ids: dict[str, set[str]] = {}
    for alarm in (d for d in site.alarms() if d["kind"] == "fleet"):
        if alarm["state"] == "raised":
            ids.setdefault(alarm["monitor"], set()).add(alarm["id"])
        raises[alarm["id"]] += alarm["state"] == "raised" and alarm["text"].endswith("(forecast)")
        clears[alarm["id"]] += alarm["state"] == "cleared"
    assert all(len(found) == 1 for monitor, found in ids.items() if monitor.startswith("fleet_m"))
    assert clears.keys() == raises.keys()
    assert set(clears.values()) == {1}, "each was raised and cleared once"


def ready(site: Any) -> None:
    """It runs, and the subscription stands."""
    end = time.monotonic() + 120
    while not site.server.operations.iot.of(NAME, topic("Halle 3", "+")):
        assert time.monotonic() < end, (site.root / "component.log").read_text()[-3000:]
        time.sleep(0.05)

