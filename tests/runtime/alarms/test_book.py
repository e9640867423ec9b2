"""Groups, caps, chattering, latches, and what must hold whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edgeloop.alarms import (
    SEVERITIES,
    Acknowledge,
    Alarm,
    AlarmBook,
    AlarmJournal,
    AlarmSettings,
    Cause,
    Command,
    Kind,
    Reason,
    Severity,
    Shelve,
    Unshelve,
)
from edgeloop.alarms.journal import read
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import EdgeloopError

T = 1_700_000_000 * NS
HOUR = 3600 * NS


class Shift:
    """A book and a clock in seconds; every sample is newer than the one before."""

    def __init__(self, record: Callable[[Alarm], None] = lambda alarm: None, **options: object) -> None:
        self.book = AlarmBook((), record, convert(options, AlarmSettings))
        self.at, self.index = 0.0, 0

    @property
    def now(self) -> int:
        return T + round(self.at * NS)

    def up(
        self, monitor: str = "m", kind: Kind = "process", *, severity: Severity = "medium", asset: str = "press1"
    ) -> list[Alarm]:
        self.index += 1
        cause = Cause(stream="s", epoch=1, index=self.index)
        return self.book.raise_(
            monitor, kind, asset=asset, severity=severity, text="t", cause=cause, now=self.now, sample=self.now
        )

    def down(self, monitor: str = "m", kind: Kind = "process") -> list[Alarm]:
        self.index += 1
        cause = Cause(stream="s", epoch=1, index=self.index)
        return self.book.clear(monitor, kind, cause=cause, now=self.now, sample=self.now)

    def after(self, seconds: float) -> list[Alarm]:
        self.at += seconds
        return self.book.tick(self.now)


def test_alarms_of_one_asset_that_follow_each_other_are_a_group() -> None:
    shift = Shift(group="10 s")
    (first,) = shift.up("a")
    shift.after(5)
    (second,) = shift.up("b")
    (elsewhere,) = shift.up("x", asset="press2")
    shift.after(9)
    (third,) = shift.up("a", "gap")
    shift.after(11)
    (fourth,) = shift.up("c")
    assert [(a.group, a.first_out) for a in (first, second, third)] == [(first.id, n == 0) for n in range(3)]
    assert (elsewhere.group, elsewhere.first_out) == (elsewhere.id, True)
    assert (fourth.group, fourth.first_out) == (fourth.id, True)
    again = AlarmBook(shift.book.open, settings=shift.book.settings)
    shift.book = again
    shift.after(1)
    assert shift.up("d")[0].group == fourth.id


def test_what_came_and_went_stays_listed_until_somebody_says_so(tmp_path: Path) -> None:
    journal = AlarmJournal(tmp_path / "alarms.jsonl")
    shift = Shift(journal.record)
    shift.up()
    shift.after(1)
    (over,) = shift.down()
    assert over.unseen
    assert shift.book.unseen == (over,)
    journal.close()
    journal = AlarmJournal(tmp_path / "alarms.jsonl")
    book = AlarmBook(journal.alarms, journal.record)
    assert book.unseen == (over,)
    with pytest.raises(EdgeloopError, match="the alarm is over"):
        book.command(Shelve(id=over.id, until=shift.now + NS), shift.now)
    (seen,) = book.command(Acknowledge(id=over.id, reason="false", by="kim"), shift.now + 5)
    assert (seen.state, seen.reason, seen.sample_index, seen.time) == (
        "cleared",
        "false",
        over.sample_index,
        shift.now + 5,
    )
    assert not book.unseen
    assert book.command(Acknowledge(id=over.id, reason="false"), shift.now + 6) == []
    (other,) = book.command(Acknowledge(id=over.id, reason="true"), shift.now + 7)
    assert other.reason == "true", "a label can be corrected"


def test_beyond_the_cap_one_alarm_counts_the_others_and_nothing_is_lost(tmp_path: Path) -> None:
    journal = AlarmJournal(tmp_path / "alarms.jsonl")
    shift = Shift(journal.record, most=2, group="0 s")
    told: list[Alarm] = []
    for number in range(9):
        told += shift.up(f"m{number}", severity="high" if number == 5 else "low")
        shift.after(1)
    shown = [a for a in told if not a.held_by]
    assert [a.monitor for a in shown if a.kind == "process"] == ["m0", "m1"]
    assert [a.count for a in shown if a.kind == "flood"] == [1, 2, 5]
    (flood,) = [a for a in shift.book.open if a.kind == "flood"]
    assert (flood.count, flood.severity) == (7, "high")
    assert flood.text == "7 alarms held back: more than 2 within an hour"
    assert len(read(tmp_path / "alarms.jsonl")) == 10
    (critical,) = shift.up("burning", severity="critical")
    assert not critical.held_by
    journal.close()
    journal = AlarmJournal(tmp_path / "alarms.jsonl")
    shift.book = AlarmBook(journal.alarms, journal.record, shift.book.settings)
    shift.down("m3")
    over = shift.after(3600)
    assert [(a.kind, a.state) for a in over][:1] == [("flood", "cleared")]
    assert {a.monitor for a in over[1:]} == {"m2", "m4", "m5", "m6", "m7", "m8"}
    assert not any(a.held_by for a in over[1:]), "what still holds is told now"


def test_the_word_about_a_flood_is_about_all_of_it() -> None:
    shift = Shift(most=1, group="0 s")
    for number in range(4):
        shift.up(f"m{number}")
    shift.down("m3")
    (flood,) = [a for a in shift.book.open if a.kind == "flood"]
    changed = shift.book.command(Acknowledge(id=flood.id, reason="maintenance"), shift.now)
    assert {(a.monitor, a.state) for a in changed[1:]} == {
        ("m1", "acknowledged"), ("m2", "acknowledged"), ("m3", "cleared"),
    }  # fmt: skip
    assert {a.reason for a in changed} == {"maintenance"}


def test_an_alarm_that_comes_and_goes_stays_as_one_with_a_count() -> None:
    shift = Shift(chatter=3, within="1 min")
    told: list[Alarm] = []
    for _ in range(12):
        told += shift.up()
        shift.after(1)
        told += shift.down()
        shift.after(1)
    ids = list(dict.fromkeys(a.id for a in told))
    assert len(ids) == 3
    assert [a.count for a in told if a.id == ids[2]] == [1, 2, 5, 10]
    assert told[4].chattering
    (known,) = shift.book.open
    assert (known.count, known.active, known.state) == (10, False, "raised")
    assert shift.book.command(Acknowledge(id=known.id, reason="false"), shift.now)[0].state == "acknowledged"
    assert shift.after(30) == []
    (over,) = shift.after(40)
    assert (over.state, over.count, over.chattering, over.reason) == ("cleared", 10, False, "false")


def test_a_chattering_alarm_that_stays_is_an_alarm_like_others() -> None:
    shift = Shift(chatter=2)
    for _ in range(3):
        shift.up()
        shift.down()
    shift.up()
    (steady,) = shift.after(61)
    assert (steady.chattering, steady.state) == (False, "raised")
    assert shift.down()[0].state == "cleared"


def test_a_latched_alarm_waits_for_its_acknowledgement() -> None:
    shift = Shift(latch="high")
    shift.up("low", severity="medium")
    (raised,) = shift.up("high", severity="high")
    assert shift.down("low")[0].state == "cleared"
    (latched,) = shift.down("high")
    assert (latched.state, latched.active) == ("raised", False)
    assert shift.book.find("high", "process") is None
    assert shift.down("high") == []
    (back,) = shift.up("high", severity="high")
    assert (back.id, back.active, back.count) == (raised.id, True, 2)
    shift.down("high")
    (over,) = shift.book.command(Acknowledge(id=raised.id, reason="true"), shift.now)
    assert over.state == "cleared"


def test_a_clock_set_back_does_not_hold_alarms_back() -> None:
    shift = Shift(most=1, group="0 s")
    shift.up("a")
    shift.at -= 86_400
    (raised,) = shift.up("b")
    assert not raised.held_by


MEMORY = Path("/dev/shm")
MONITORS = st.sampled_from(["m0", "m1", "m2"])
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["process", "gap", "event"])
REASONS: st.SearchStrategy[Reason] = st.sampled_from(["true", "false", "maintenance", "process_change"])


class Control(RuleBasedStateMachine):
    """Machines and operators at random; the process dies now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.path = Path(self.folder.name) / "alarms.jsonl"
        self.journal = AlarmJournal(self.path, largest=4000, keep=10_000, unseen=10_000)
        self.shift = Shift(self.journal.record, most=4, chatter=3, within="30 s", group="20 s", latch="high")
        self.holds: dict[tuple[str, Kind], bool] = {}
        self.ids: set[str] = set()

    def heard(self, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            assert alarm in self.journal.alarms or any(a.id == alarm.id for a in self.journal.alarms)
            self.ids.add(alarm.id)

    @rule(monitor=MONITORS, kind=KINDS, severity=st.sampled_from(SEVERITIES))
    def begins(self, monitor: str, kind: Kind, severity: Severity) -> None:
        self.holds[monitor, kind] = True
        self.heard(self.shift.up(monitor, kind, severity=severity, asset=f"asset-{monitor}"))
        found = self.shift.book.find(monitor, kind)
        assert found is not None
        assert found.open

    @rule(monitor=MONITORS, kind=KINDS)
    def ends(self, monitor: str, kind: Kind) -> None:
        self.holds[monitor, kind] = False
        self.heard(self.shift.down(monitor, kind))

    @rule(seconds=st.sampled_from([0.5, 5, 40, 1000, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.heard(self.shift.after(seconds))

    @rule(data=st.data(), reason=REASONS, what=st.sampled_from(["ack", "shelve", "unshelve"]))
    def operator(self, data: st.DataObject, reason: Reason, what: str) -> None:
        if not self.ids:
            return
        id = data.draw(st.sampled_from(sorted(self.ids)))
        commands: dict[str, Command] = {
            "ack": Acknowledge(id=id, reason=reason),
            "shelve": Shelve(id=id, until=self.shift.now + 100 * NS),
            "unshelve": Unshelve(id=id),
        }
        try:
            self.heard(self.shift.book.command(commands[what], self.shift.now))
        except EdgeloopError:
            if what == "ack":
                raise

    @rule(kept=st.sets(MONITORS))
    def configured(self, kept: set[str]) -> None:
        self.heard(self.shift.book.retire(kept, self.shift.now))
        self.holds = {key: holds and key[0] in kept for key, holds in self.holds.items()}

    @rule()
    def restarts(self) -> None:
        before = {a.id: a for a in self.shift.book.open}
        unseen = {a.id for a in self.shift.book.unseen}
        self.journal.close()
        self.journal = AlarmJournal(self.path, largest=4000, keep=10_000, unseen=10_000)
        self.shift.book = AlarmBook(self.journal.alarms, self.journal.record, self.shift.book.settings)
        assert {a.id: a for a in self.shift.book.open} == before
        assert {a.id for a in self.shift.book.unseen} == unseen

    @invariant()
    def nothing_is_lost(self) -> None:
        listed = {a.id for a in self.journal.alarms}
        assert self.ids <= listed
        assert {a.id for a in self.shift.book.open} == {a.id for a in self.journal.alarms if a.open}

    @invariant()
    def what_holds_is_open_and_what_does_not_is_not_active(self) -> None:
        for (monitor, kind), holds in self.holds.items():
            assert (self.shift.book.find(monitor, kind) is not None) == holds

    @invariant()
    def floods_add_up(self) -> None:
        for flood in self.shift.book.open:
            if flood.kind == "flood":
                held = [a for a in self.journal.alarms if a.held_by == flood.id]
                assert flood.count >= len(held)
                assert flood.text.startswith(f"{flood.count} alarm")

    def teardown(self) -> None:
        self.journal.close()
        self.folder.cleanup()


Control.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
test_whatever_happens = Control.TestCase
