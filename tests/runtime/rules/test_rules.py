from __future__ import annotations

import json

from edgeloop.alarms import Alarm, AlarmBook, Cause, Kind, Severity
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.rules import Rule, Rules

T = 1_700_000_000 * NS


def alarm(number: int = 0, kind: Kind = "process", severity: Severity = "high", monitor: str = "m") -> Alarm:
    (raised,) = AlarmBook().raise_(
        monitor, kind, asset="a", severity=severity, text="t", cause=Cause(stream="s"), now=T + number * NS, sample=T
    )
    return raised


def rule(**options: object) -> Rule:
    return convert({"monitor": "m", "source": "press1", "target": "stop", **options}, Rule)


def test_an_alarm_acts_once_and_dry_unless_armed() -> None:
    rules = Rules({"r": rule(expires="3 s", value="2")})
    (action,) = rules.fire([alarm()], T)
    assert (action.armed, action.value, action.expires - action.issued) == (False, 2.0, 3 * NS)
    assert rules.fire([alarm()], T + 1) == []
    document = json.loads(action.document())
    assert document["cause"]["alarm"] == alarm().id
    assert set(document) >= {"schema", "id", "issued", "expires", "target", "value", "armed", "cause"}
    (armed,) = Rules({"r": rule(armed="true")}).fire([alarm()], T)
    assert armed.armed


def test_only_what_matches_acts() -> None:
    rules = Rules({"r": rule(kinds="process, gap", severity="medium")})
    assert len(rules.fire([alarm(kind="gap")], T)) == 1
    for other in (alarm(kind="clock"), alarm(severity="low"), alarm(monitor="n")):
        assert rules.fire([other], T) == []


def test_limit_within_an_hour_also_across_a_restart() -> None:
    rules = Rules({"r": rule(most=2)})
    assert [len(rules.fire([alarm(i)], T + i * NS)) for i in range(4)] == [1, 1, 0, 0]
    assert rules.limited == 2
    again = Rules({"r": rule(most=2)})
    again.restore(json.loads(json.dumps(rules.state())))
    assert again.fire([alarm(9)], T + 9 * NS) == []
    assert len(again.fire([alarm(4000)], T + 4000 * NS)) == 1
    assert again.fire([alarm(0)], T + 9000 * NS) == [], "an alarm acts once for ever"


def test_replaced_rules_remember() -> None:
    rules = Rules({"r": rule()})
    rules.fire([alarm()], T)
    rules.replace({"r": rule(value=0), "s": rule(target="light")})
    assert [a.target for a in rules.fire([alarm()], T + 1)] == ["light"]
