from __future__ import annotations

from edgeloop.clock import NS
from edgeloop_tools.harness.documents import AlarmEvent, Cause
from edgeloop_tools.harness.judge import Fault, judge
from edgeloop_tools.harness.recording import Intervention, Received

END = 1000 * NS


def alarm(at: float, kind: str = "process", asset: str = "m", stream: str = "m_vib", index: int = 0) -> Received:
    cause = Cause(stream, 1, index)
    return Received(round(at * NS), AlarmEvent(f"a{at}", "raised", "mon", asset, kind, cause=cause))


def fault(kind: str, start: float, end: float, stream: str = "m_vib") -> Fault:
    return Fault(f"{kind}{start}", kind, "m", round(start * NS), round(end * NS), stream)


def test_a_fitting_alarm_in_time_finds_the_fault() -> None:
    verdict = judge([fault("outer_race", 10, 15)], [alarm(12)], until=END)
    assert [f.onset_to_alert for f in verdict.found] == [2 * NS]
    assert not verdict.missed
    assert not verdict.false_alarms


def test_a_late_alarm_is_false_and_the_fault_missed() -> None:
    verdict = judge([fault("outer_race", 10, 15)], [alarm(17.5)], until=END)
    assert (len(verdict.missed), len(verdict.false_alarms)) == (1, 1)


def test_the_wrong_kind_machine_or_stream_finds_nothing() -> None:
    faults = [fault("dropout", 10, 15)]
    others = [alarm(12, "process"), alarm(12, "gap", "other"), alarm(12, "gap", "m", "m_slow")]
    verdict = judge(faults, others, until=END)
    assert len(verdict.missed) == 1
    assert len(verdict.false_alarms) == 2
    assert len(verdict.repeats) == 1


def test_one_alarm_finds_one_fault() -> None:
    both = [fault("outer_race", 10, 15), fault("imbalance", 11, 16)]
    verdict = judge(both, [alarm(12)], until=END)
    assert (len(verdict.found), len(verdict.missed)) == (1, 1)


def test_a_fault_that_goes_on_at_the_end_counts_only_when_found() -> None:
    assert judge([fault("drift", 10, 15)], [], until=14 * NS).truth == 0
    assert judge([fault("drift", 10, 15)], [alarm(12)], until=14 * NS).truth == 1


def test_a_kill_explains_a_gap_but_no_process_alarm() -> None:
    kill = [Intervention("kill", "c", 10 * NS, 12 * NS)]
    verdict = judge([], [alarm(13, "gap"), alarm(13, "process"), alarm(15, "gap")], kill, until=END)
    assert (len(verdict.explained), len(verdict.false_alarms)) == (1, 2)


def test_a_recording_is_judged_by_its_rows() -> None:
    change = Fault("f", "recorded", "spindle", 1000, 1 << 62, "spindle", "row")
    found = judge([change], [alarm(1, asset="spindle", stream="spindle", index=1500)], until=END)
    early = judge([change], [alarm(1, asset="spindle", stream="spindle", index=999)], until=END)
    assert (len(found.found), len(found.false_alarms)) == (1, 0)
    assert (len(early.missed), len(early.false_alarms)) == (1, 1)


def test_an_event_finds_a_fault_and_is_false_elsewhere() -> None:
    verdict = judge([fault("imbalance", 10, 15)], [alarm(12, "event"), alarm(30, "event")], until=END)
    assert [f.alarm.at for f in verdict.found] == [12 * NS]
    assert [a.at for a in verdict.false_alarms] == [30 * NS]


def test_input_that_drifts_names_a_drift_only() -> None:
    found = judge([fault("drift", 10, 15)], [alarm(12, "drift")], until=END)
    other = judge([fault("outer_race", 10, 15)], [alarm(12, "drift"), alarm(30, "drift")], until=END)
    assert len(found.found) == 1
    assert (len(other.missed), len(other.repeats), len(other.false_alarms)) == (1, 1, 1)


def test_a_flood_is_neither_found_nor_false() -> None:
    verdict = judge([fault("outer_race", 10, 15)], [alarm(12, "flood"), alarm(30, "flood")], until=END)
    assert len(verdict.missed) == 1
    assert not verdict.false_alarms
    assert not verdict.repeats


def test_no_kill_explains_an_event() -> None:
    kill = [Intervention("kill", "c", 10 * NS, 12 * NS)]
    assert len(judge([], [alarm(13, "event"), alarm(13, "drift")], kill, until=END).false_alarms) == 2


def test_what_comes_after_the_end_does_not_count() -> None:
    verdict = judge([fault("clock_jump", 21, 25)], [alarm(21.1, "clock"), alarm(22)], until=20 * NS)
    assert not verdict.false_alarms
    assert not verdict.missed
