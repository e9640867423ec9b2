from __future__ import annotations

from edgeloop_tools.harness.documents import AlarmEvent
from edgeloop_tools.harness.recording import Received, Recording


def test_an_alarm_says_what_its_group_began_with() -> None:
    recording = Recording()
    first = AlarmEvent("a1", "raised", kind="gap", text="no samples for 2 s", group="a1", first_out=True)
    second = AlarmEvent("a2", "raised", kind="process", text="pressure lower", group="a1")
    recording.alarms.append(Received(1, first))
    assert recording.after(first) == ""
    assert recording.after(second) == "first out: no samples for 2 s"
    assert recording.after(AlarmEvent("a3", "raised")) == ""
    assert recording.after(AlarmEvent("a3", "raised", group="unknown")) == ""
