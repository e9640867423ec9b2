"""What people decide, carried to the component that owns the matter, and its answer.

Console publishes commands and never an action to a machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from console.audit import Audit
from console.live import Live
from edgeloop import clock, topics
from edgeloop.alarms import Acknowledge, Alarm, Reason, Shelve, Unshelve
from edgeloop.bus import Bus
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError

WAIT: Final = 2.0
"""s until a command that nobody confirmed is told to be so."""
LONGEST: Final = 30 * 86_400 * clock.NS
Words = Annotated[str, Meta(max_length=1_000)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """COCO: pixels of the stored image."""

    label: Label
    x: float
    y: float
    width: float
    height: float


class Commands:
    """One method for each thing that people may do. `by` is the name of who is logged in."""

    def __init__(self, bus: Bus, live: Live, audit: Audit, device: str) -> None:
        self._bus, self._live, self._audit, self._device = bus, live, audit, device

    def acknowledge(self, id: str, reason: Reason, by: str) -> Alarm:
        alarm = self._alarm(id)
        command = Acknowledge(id=alarm.id, reason=reason, by=by)
        return self._sent(command, by, lambda a: a.reason == reason and a.state != "raised")

    def shelve(self, id: str, span: str, by: str) -> Alarm:
        try:
            length = Duration(span)
        except ValueError as error:
            raise EdgeloopError("not a time span", where=span[:40], why=str(error), mend="such as 30 min") from None
        if not 0 < length <= LONGEST:
            raise EdgeloopError("not a time span to shelve for", where=span[:40], mend="more than 0 s, at most 30 d")
        return self.shelve_until(id, clock.now() + length, by)

    def shelve_until(self, id: str, until: int, by: str) -> Alarm:
        """until: ns UTC."""
        alarm = self._open(id)
        return self._sent(
            Shelve(id=alarm.id, until=until, by=by), by, lambda a: a.state == "shelved" and a.shelved_until == until
        )

    def unshelve(self, id: str, by: str) -> Alarm:
        return self._sent(Unshelve(id=self._open(id).id, by=by), by, lambda a: a.state != "shelved")

    def comment(self, id: str, words: Words, by: str) -> Alarm:
        """Kept in the audit, which is what `comments` shows."""
        alarm = self._alarm(id)
        self._audit.write(by, "comment", alarm=alarm.id, text=words)
        return alarm

    def comments(self, id: str) -> list[dict[str, Any]]:
        return [e for e in self._audit.newest if e.get("action") == "comment" and e.get("alarm") == id]

    def label(self, camera: str, part: str, label: Label, boxes: list[Box], by: str) -> dict[str, Any]:
        """A person's word on a part, as a label record."""
        if not any(str(p.get("part") or p["time"]) == part for p in self._live.parts([camera])):
            raise EdgeloopError("no such part", where=f"{camera}/{part}", mend="it may be too old to be kept")
        now = clock.now()
        record = {
            "schema": 2,
            "subject": f"part:{self._device}/{camera}/{part}",
            "label": label,
            "boxes": msgspec.to_builtins(boxes),
            "by": by,
            "time": now,
            "time_rfc3339": clock.rfc3339(now),
            "source": "page",
            "replaces": "",
        }
        self._publish(topics.PART_COMMANDS, {"command": "label", "camera": camera, "part": part, "record": record})
        self._audit.write(by, "label", camera=camera, part=part, label=label)
        return record

    def hold(self, name: str, version: str, by: str) -> dict[str, Any]:
        """A version that is to serve until the configuration next changes; empty: the hold ends."""
        command: Literal["hold", "release"] = "hold" if version else "release"
        document = {"command": command, "name": name, "version": version, "by": by, "role": "engineer"}
        self._publish(topics.MODEL_COMMANDS, document)
        self._audit.write(by, command, model=name, version=version)
        return document

    def teach(self, camera: str, good: int, reject: float, template: bool, by: str) -> dict[str, Any]:
        """A camera's next pictures are good ones, and make its model."""
        document = {
            "command": "teach", "camera": camera, "good": good, "reject": reject, "template": template, "by": by,
        }  # fmt: skip
        self._publish(topics.CAMERA_COMMANDS, document)
        self._audit.write(by, "teach", camera=camera, good=good)
        return document

    # -- inside --------------------------------------------------------------------------------------------------------

    def _alarm(self, id: str) -> Alarm:
        alarm = self._live.alarm(id)
        if alarm is None:
            raise EdgeloopError("no such alarm", where=id[:40])
        return alarm

    def _open(self, id: str) -> Alarm:
        alarm = self._alarm(id)
        if not alarm.open:
            raise EdgeloopError("the alarm is over", where=id, mend="it can only be acknowledged")
        return alarm

    def _sent(self, command: Acknowledge | Shelve | Unshelve, by: str, fits: Any) -> Alarm:
        self._publish(topics.ALARM_COMMANDS, msgspec.to_builtins(command))
        kind = type(command).__name__.lower()
        reason = {"reason": command.reason} if isinstance(command, Acknowledge) else {}
        self._audit.write(by, kind, alarm=command.id, **reason)
        alarm: Alarm | None = self._live.confirmed(command.id, fits, WAIT)
        if alarm is None or not fits(alarm):
            raise EdgeloopError(
                "the command was sent and not confirmed", where=command.id, why=f"no word of it within {WAIT:g} s",
                mend="look at System whether AnomalyInference is healthy",
            )  # fmt: skip
        return alarm

    def _publish(self, topic: str, document: Any) -> None:
        if not self._bus.publish_document(topic, document):
            raise EdgeloopError("the command was not sent", where=topic, why="the bus takes no message")
