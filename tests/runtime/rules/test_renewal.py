from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeloop.alarms import Acknowledge, Alarm, AlarmBook, AlarmSettings, Cause, Shelve, Unshelve
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import EdgeloopError
from edgeloop.rules import Action, Rule, Rules

T = 1_700_000_000 * NS


def rule(**options: object) -> Rule:
    return convert({"monitor": "m", "source": "press1", "target": "stop", "renew": "5 s", **options}, Rule)


class Line:
    """A book and its rules, as time goes by in steps of 50 ms."""

    def __init__(self, rules: Rules, book: AlarmBook | None = None) -> None:
        self.rules, self.book = rules, book or AlarmBook()
        self.now = T
        self.actions: list[Action] = []

    def raise_(self) -> Alarm:
        raised = self.book.raise_(
            "m", "process", asset="a", severity="high", text="t", cause=Cause(stream="s"), now=self.now, sample=self.now
        )
        self.actions += self.rules.fire(raised, self.now)
        return self.book.open[0]

    def clear(self) -> None:
        self.book.clear("m", "process", cause=Cause(stream="s"), now=self.now, sample=self.now)

    def wait(self, seconds: float) -> list[Action]:
        before = len(self.actions)
        for _ in range(round(seconds * 20)):
            self.now += NS // 20
            self.book.tick(self.now)
            self.actions += self.rules.renew(self.book.open, self.now)
        return self.actions[before:]


def seconds(actions: Iterable[Action]) -> list[float]:
    return [(a.issued - T) / NS for a in actions]


def test_an_action_is_renewed_while_its_alarm_holds_and_no_longer() -> None:
    line = Line(Rules({"r": rule(expires="1 s", value=2, armed=True)}))
    line.raise_()
    line.wait(12)
    line.clear()
    assert line.wait(30) == []
    assert seconds(line.actions) == [0, 5, 10]
    assert [a.cause.renewal for a in line.actions] == [0, 1, 2]
    assert len({a.id for a in line.actions}) == 3
    assert {(a.source, a.target, a.value, a.armed, a.expires - a.issued) for a in line.actions} == {
        ("press1", "stop", 2.0, True, NS)
    }


def test_without_renew_it_acts_once() -> None:
    line = Line(Rules({"r": rule(renew="0 s")}))
    line.raise_()
    assert line.wait(30) == []
    assert len(line.actions) == 1


def test_acknowledging_ends_nothing_and_shelving_interrupts() -> None:
    line = Line(Rules({"r": rule()}))
    alarm = line.raise_()
    line.book.command(Acknowledge(id=alarm.id, reason="true"), line.now)
    assert len(line.wait(10.5)) == 2
    line.book.command(Shelve(id=alarm.id, until=line.now + 60 * NS), line.now)
    assert line.wait(20) == []
    line.book.command(Unshelve(id=alarm.id), line.now)
    assert len(line.wait(1)) == 1
    assert len({a.id for a in line.actions}) == len(line.actions)


def test_a_latched_alarm_whose_condition_is_over_renews_nothing() -> None:
    line = Line(Rules({"r": rule()}), AlarmBook(settings=AlarmSettings(latch="low")))
    line.raise_()
    line.clear()
    assert line.book.open
    assert line.wait(20) == []
    line.raise_()
    assert len(line.wait(6)) == 2, "it holds again, and is renewed as one that is late"


def test_renewals_do_not_count_and_what_was_over_the_limit_is_not_renewed() -> None:
    line = Line(Rules({"r": rule(most=1, renew="1 s")}))
    line.raise_()
    assert len(line.wait(20)) == 20
    line.clear()
    line.now += NS
    line.raise_()
    assert line.wait(20) == []
    assert line.rules.limited == 1


def test_a_restart_goes_on() -> None:
    line = Line(Rules({"r": rule()}))
    line.raise_()
    line.wait(6)
    again = Rules({"r": rule()})
    again.restore(json.loads(json.dumps(line.rules.state())))
    line.rules = again
    line.wait(6)
    assert seconds(line.actions) == [0, 5, 10]
    again.restore({"fired": [], "times": {}})
    assert line.wait(20) == [], "the state of a version without renewals"


@pytest.mark.parametrize("change", [{"target": "light"}, {"value": 0}, {"armed": True}, {"monitor": "n"}])
def test_a_rule_that_does_something_else_has_to_fire_anew(change: dict[str, object]) -> None:
    line = Line(Rules({"r": rule()}))
    line.raise_()
    line.rules.replace({"r": rule(**change)})
    assert line.wait(20) == []


def test_renew_can_be_added_and_lengthened_while_it_holds() -> None:
    line = Line(Rules({"r": rule(renew="0 s")}))
    line.raise_()
    line.wait(3)
    line.rules.replace({"r": rule(renew="5 s")})
    assert seconds(line.wait(4)) == [5]
    line.rules.replace({"r": rule(renew="1 min")})
    assert seconds(line.wait(65)) == [65]


def test_too_often_is_refused() -> None:
    with pytest.raises(EdgeloopError, match="renew"):
        rule(renew="999 ms")


def test_a_clock_that_is_set_back_neither_stops_nor_multiplies_them() -> None:
    line = Line(Rules({"r": rule()}))
    line.raise_()
    line.wait(7)
    line.now -= 3600 * NS
    renewed = line.wait(11)
    assert len(renewed) == 3
    assert len({a.id for a in line.actions}) == len(line.actions)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0, 20)),
        st.tuples(st.sampled_from(["raise", "clear", "acknowledge", "shelve", "unshelve", "restart"]), st.just(0.0)),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(STEPS, st.sampled_from(["never", "low"]), st.integers(1, 7))
def test_whatever_happens_renewals_are_bounded_and_of_a_condition_that_holds(
    steps: list[tuple[str, float]], latch: str, renew: int
) -> None:
    rules = {"r": rule(renew=renew, most=2)}
    line = Line(Rules(rules), AlarmBook(settings=convert({"latch": latch}, AlarmSettings)))
    for what, span in steps:
        alarm = next(iter(line.book.open), None)
        holds = alarm is not None and alarm.active and alarm.state != "shelved"
        if what == "wait":
            made = line.wait(span)
            shelf = alarm is not None and alarm.state == "shelved" and alarm.active
            assert holds or shelf or not made
            assert len(made) <= span / renew + 1
            assert all(a.cause.renewal for a in made)
        elif what == "raise":
            line.raise_()
        elif what == "clear":
            line.clear()
        elif what == "restart":
            state = json.loads(json.dumps(line.rules.state()))
            line.rules = Rules(rules)
            line.rules.restore(state)
        elif alarm is not None and what == "acknowledge":
            line.book.command(Acknowledge(id=alarm.id, reason="true"), line.now)
        elif alarm is not None and what == "shelve":
            line.book.command(Shelve(id=alarm.id, until=line.now + 3 * NS), line.now)
        elif alarm is not None:
            line.book.command(Unshelve(id=alarm.id), line.now)
    assert len({a.id for a in line.actions}) == len(line.actions)
    renewals = [a for a in line.actions if a.cause.renewal]
    by_alarm = {a.cause.alarm: [b.issued for b in line.actions if b.cause.alarm == a.cause.alarm] for a in renewals}
    for times in by_alarm.values():
        assert all(later - earlier >= renew * NS for earlier, later in pairwise(times))
    assert len([a for a in line.actions if not a.cause.renewal]) <= 2
