"""Cameras that see nothing are alarms: a green light over a blind camera would be worse than an error."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from edgeloop import clock, topics
from edgeloop.alarms import Alarm, AlarmBook, AlarmJournal, Cause, label, parse
from edgeloop.alarms.alarm import Kind
from edgeloop.errors import EdgeloopError
from edgeloop.fleet import Findings

IN_A_ROW: Final = 3
"""Pictures that show nothing before it is an alarm, and that show something before it is over."""
ALARMS: Final = "alarms"
LABELS: Final = "labels"


class Told(Protocol):
    """Where alarms go."""

    def publish(self, topic: str, payload: bytes) -> bool: ...

    def upload(self, kind: str, record: bytes) -> None: ...

    def problem(self, key: str, line: str | None) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...


class CameraAlarms:
    """The book of kinds `camera` and `agreement`, and `fleet` where nothing else has monitors, in the component's work
    folder. `sight` and `agreement` from any thread; all else from the loop's."""

    def __init__(self, work: Path, told: Told, fleet: Findings) -> None:
        self._told, self._fleet = told, fleet
        self._journal = AlarmJournal(work / "alarms.jsonl")
        self._book = AlarmBook(self._journal.alarms, self._record)
        self._lock = threading.Lock()
        self._runs: dict[str, tuple[bool, int]] = {}
        self._due: dict[tuple[str, Kind], tuple[str, str, int]] = {}
        self._commands: list[bytes] = []
        self._announce(list(self._journal.unannounced))

    def sight(self, camera: str, asset: str, reason: str) -> None:
        blind = bool(reason)
        with self._lock:
            was, count = self._runs.get(camera, (False, IN_A_ROW))
            count = min(count + 1, IN_A_ROW) if was == blind else 1
            self._runs[camera] = blind, count
            if count >= IN_A_ROW:
                self._due[camera, "camera"] = reason, asset, clock.now()

    def agreement(self, camera: str, asset: str, line: str) -> None:
        """Edge and cloud agree less than they did (a line), or as ever."""
        with self._lock:
            self._due[camera, "agreement"] = line, asset, clock.now()

    def command(self, payload: bytes) -> None:
        """An operator's word, perhaps about an alarm of another component's."""
        with self._lock:
            self._commands.append(payload)

    def tick(self) -> None:
        with self._lock:
            due, self._due = self._due, {}
            commands, self._commands = self._commands, []
        now = clock.now()
        for (camera, kind), (reason, asset, seen) in due.items():
            cause = Cause(stream=camera)
            if reason:
                changed = self._book.raise_(
                    camera, kind, asset=asset or camera, severity="high" if kind == "camera" else "medium",
                    text=f"{camera}: {reason}", cause=cause, now=now, sample=seen,
                )  # fmt: skip
            else:
                changed = self._book.clear(camera, kind, cause=cause, now=now, sample=seen)
            self._announce(changed)
        for payload in commands:
            self._obey(payload, now)
        self._announce(self._book.tick(now))
        self._announce(self._fleet.tick(self._book, now))

    def retire(self, cameras: set[str]) -> None:
        """Clears what belongs to cameras other than these."""
        with self._lock:
            for camera in self._runs.keys() - cameras:
                del self._runs[camera]
            for key in [key for key in self._due if key[0] not in cameras]:
                del self._due[key]
        self._announce(self._book.retire(cameras, clock.now()))

    def close(self) -> None:
        self._journal.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _obey(self, payload: bytes, now: int) -> None:
        try:
            command = parse(payload)
            if any(alarm.id == command.id for alarm in self._journal.alarms):
                self._announce(self._book.command(command, now))
            self._told.problem("alarm command", None)
        except EdgeloopError as error:
            self._told.problem("alarm command", str(error))

    def _record(self, alarm: Alarm) -> None:
        self._try(lambda: self._journal.record(alarm, sync=False))

    def _announce(self, alarms: list[Alarm]) -> None:
        """Once they are on disk."""
        if not alarms:
            return
        self._try(self._journal.sync)
        for alarm in alarms:
            self._told.log("alarm", id=alarm.id, camera=alarm.monitor, state=alarm.state, text=alarm.text)
            document = alarm.document()
            self._told.upload(ALARMS, document)
            if alarm.kind == "fleet" and (said := label(alarm)) is not None:
                self._told.upload(LABELS, said.document())
            if alarm.held_by or self._told.publish(topics.alarm(alarm.id), document):
                self._try(partial(self._journal.announced, alarm))

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._told.problem("alarms", f"cannot write alarms.jsonl: {error.strerror}; free space on the disk")
        else:
            self._told.problem("alarms", None)
