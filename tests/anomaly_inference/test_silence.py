from __future__ import annotations

from anomaly_inference.silence import Silence
from edgeloop.alarms import AlarmBook, AlarmSettings, Cause


def test_nothing_for_15_seconds_is_silence() -> None:
    silence = Silence(0.0)
    silence.heard(1.0)
    silence.heard(1.1)
    assert silence.silent(16.0) == 0
    assert silence.silent(16.2) > 15
    assert silence.alarming(16.2)
    silence.heard(20.0)
    assert not silence.alarming(21.0)


def test_who_speaks_once_a_minute_is_not_silent_between() -> None:
    silence = Silence(0.0)
    silence.heard(0.0)
    silence.heard(60.0)
    assert not silence.silent(179.0)
    assert silence.silent(241.0)


def test_before_the_first_sample_sources_have_half_a_minute() -> None:
    silence = Silence(0.0)
    assert silence.silent(16.0)
    assert not silence.alarming(29.0)
    assert silence.alarming(61.0)


def test_an_action_without_its_result_and_a_journal_without_notices_look_at_the_bus_once() -> None:
    silence = Silence(0.0)
    silence.asked("a", 0.0)
    silence.asked("b", 0.0)
    silence.answered("b")
    assert not silence.deaf(1.9)
    assert silence.deaf(2.0)
    assert not silence.deaf(2.1)
    silence.noticed(10.0)
    for tenth in range(100, 119):
        silence.heard(tenth / 10)
        assert not silence.deaf(tenth / 10)
    silence.heard(12.1)
    assert silence.deaf(12.1)
    silence.heard(12.2)
    assert not silence.deaf(12.2)


def test_no_cap_holds_it_back_and_no_change_of_monitors_retires_it() -> None:
    book = AlarmBook(settings=AlarmSettings(most=1))
    cause = Cause(stream="")
    common = {"asset": "SensorIngest", "severity": "high", "text": "", "cause": cause, "sample": 1}
    assert book.raise_("a", "gap", now=1, **common)  # type: ignore[arg-type]
    assert book.raise_("b", "gap", now=2, **common)[0].held_by  # type: ignore[arg-type]
    (alarm,) = book.raise_("samples", "silent", now=3, **common)  # type: ignore[arg-type]
    assert not alarm.held_by
    assert not any(a.kind == "silent" for a in book.retire(["a"], 4))
