"""Findings in a book: what is kept over restarts, what groups with what, bounds of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from anomaly_inference.configuration import Configuration
from edgeloop.alarms import Acknowledge, AlarmBook, Cause
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, DecodeError
from edgeloop.fleet import Findings, Fleet, parse, topic

NOW = 1_780_000_000_000_000_000
DAY = 86_400_000_000_000
BUDGET = "monitors.m.budget"


class Bus:
    def __init__(self) -> None:
        self.filters: list[str] = []

    def subscribe(self, filter: str, handler: Any, depth: int = 1024, *, cloud: bool = False) -> Any:
        assert cloud
        self.filters.append(filter)
        return self

    def close(self) -> None:
        self.filters.append("closed")


class Told:
    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.counts: dict[str, int] = {}

    def set(self, key: str, line: str | None) -> None:
        self.problems.pop(key, None)
        if line is not None:
            self.problems[key] = line

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


def line(**fleet: Any) -> Configuration:
    return convert(
        {"site": "s", "monitors": {"m": {"asset": "press7", "input": "v"}}, "fleet": {"findings": True} | fleet},
        Configuration,
    )


def heard(work: Path, configuration: Configuration) -> tuple[Findings, Told]:
    told = Told()
    findings = Findings(work, "core7", Bus(), told)
    findings.configure(configuration.fleet, configuration.site, {"press7"})
    return findings, told


def say(findings: Findings, revision: int, *listed: dict[str, Any]) -> None:
    payload = json.dumps({"revision": revision, "findings": [{"words": "w"} | each for each in listed]})
    findings.heard(topic("s", "press7"), payload.encode())


def test_lists_outlive_the_process_and_late_ones_change_nothing(tmp_path: Path) -> None:
    findings, told = heard(tmp_path, line())
    book = AlarmBook()
    say(findings, 5, {"id": "a"}, {"id": "b", "until": "2026-05-29"})
    assert sorted(a.monitor for a in findings.tick(book, NOW)) == ["fleet_a", "fleet_b"]
    findings.close()
    findings, told = heard(tmp_path, line())
    say(findings, 4)
    assert findings.tick(book, NOW) == []
    assert told.counts == {"findings_late": 1}
    findings.configure(line().fleet, "s", {"press7"})
    assert [(a.monitor, a.state) for a in findings.tick(book, NOW + 3 * DAY)] == [("fleet_b", "cleared")]
    findings.heard(topic("s", "press7"), b"")
    assert [(a.monitor, a.state) for a in findings.tick(book, NOW)] == [("fleet_a", "cleared")]


def test_a_line_that_no_longer_asks_has_no_findings(tmp_path: Path) -> None:
    findings, _ = heard(tmp_path, line())
    book = AlarmBook()
    say(findings, 5, {"id": "a"})
    assert len(findings.tick(book, NOW)) == 1
    findings.configure(None, "s", {"press7"})
    assert [a.state for a in findings.tick(book, NOW)] == ["cleared"]
    assert book.open == ()


def test_a_finding_joins_the_alarms_of_its_asset_and_they_join_it(tmp_path: Path) -> None:
    findings, _ = heard(tmp_path, line())
    book = AlarmBook()

    def local(monitor: str, now: int) -> Any:
        return book.raise_(
            monitor, "process", asset="press7", severity="low", text="t", cause=Cause(stream="v"), now=now, sample=now
        )[0]

    first = local("m", NOW)
    say(findings, 1, {"id": "a"})
    (found,) = findings.tick(book, NOW + DAY)
    assert (found.group, found.first_out) == (first.group, False)
    assert local("m2", NOW + 2 * DAY).group == first.group
    kept = book.retire([], NOW + 2 * DAY)
    assert {a.monitor for a in kept} == {"m", "m2"}, "what the fleet found is of no monitor"
    book.command(Acknowledge(id=found.id, reason="false"), NOW + 2 * DAY)
    assert [a.state for a in book.open] == ["acknowledged"]


def test_settings_are_applied_within_bounds_and_undone(tmp_path: Path) -> None:
    own = line(set={BUDGET: "1 alarm/month .. 1 alarm/day", "monitors.gone.budget": "1 .. 2"})
    findings, told = heard(tmp_path, own)
    book = AlarmBook()
    assert findings.over(own, NOW) == own
    say(findings, 1, {"id": "a", "set": {BUDGET: "1 alarm/d"}, "until": "2026-06-01"})
    findings.tick(book, NOW)
    assert findings.due(NOW)
    assert str(findings.over(own, NOW).monitors["m"].budget) == "1 alarm/d"
    assert not findings.due(NOW)
    again = Findings(tmp_path, "core7", Bus(), told)
    again.configure(own.fleet, "s", {"press7"})
    assert str(again.over(own, NOW).monitors["m"].budget) == "1 alarm/d", "without hearing it again"
    assert findings.due(NOW + 30 * DAY)
    assert findings.over(own, NOW + 30 * DAY) == own
    say(findings, 2, {"id": "b", "set": {BUDGET: "1 alarm/h", "monitors.gone.budget": 1, "rules.r.value": 1}})
    findings.tick(book, NOW)
    assert findings.over(own, NOW) == own
    for words in ("1 alarm/h is not within", "there is no such entry", "the line does not allow it"):
        assert words in told.problems["fleet.set"]
    events = [json.loads(entry)["event"] for entry in (tmp_path / "fleet.jsonl").read_text().splitlines()]
    assert events == ["applied", "undone"]


def test_what_a_line_may_allow() -> None:
    wrong = ("rules.r.value", "1 .. 2"), ("monitors.m", "1 .. 2"), (BUDGET, "1 alarm/d"), (BUDGET, ".. 2")
    for path, bounds in wrong:
        with pytest.raises(ConfigurationError, match="fleet"):
            line(set={path: bounds})
    assert msgspec.json.encode(Fleet()) == b'{"findings":true,"set":{}}'


def test_a_list_that_is_none_is_one_line() -> None:
    for payload in (b"x", b"[]", b'{"findings": 1}', b'{"schema": 9, "findings": []}', b"{" * 100, b"[" * 70_000):
        with pytest.raises(DecodeError) as refused:
            parse(payload, "t")
        assert "\n" not in str(refused.value)
    kept = parse(json.dumps({"findings": [{"id": "a", "words": "w", "until": "soon"}, {"id": "b", "words": "w"}, 7,
                                          {"id": "b", "words": "twice"}]}).encode(), "t")  # fmt: skip
    assert [f.id for f in kept.findings] == ["b"]
    assert len(kept.bad) == 2
