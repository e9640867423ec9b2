"""One pass after the other: journal and queues to files and records, those to Stream Manager."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from edgeloop import clock
from edgeloop.component import App
from edgeloop.errors import EdgeloopError
from edgeloop.journal import CursorFile, directory
from edgeloop.uploader import journal_cursor
from stream_upload import state
from stream_upload.allowance import Allowance, Kind
from stream_upload.configuration import Configuration
from stream_upload.deliveries import Deliveries
from stream_upload.harvest import Harvest
from stream_upload.manager import Manager, connect
from stream_upload.queues import Queues
from stream_upload.records import Records
from stream_upload.spool import Spool, Waiting
from stream_upload.tasks import File, Tasks, definitions

PERIOD: Final = 1.0
"""s between two passes where there is no more to read at once."""


class Uploader:
    """Each `step` is a pass; a part that fails is a problem in health and is tried again with the next one."""

    def __init__(self, app: App[Configuration], make: Callable[[], Any] = connect) -> None:
        self._app = app
        self._configuration = app.config
        self._saved = state.Saved(app.work / "state.json")
        self._files = 0
        self._more = False
        self._defined: list[Any] = []
        self._device = os.environ.get("AWS_IOT_THING_NAME") or "unknown"
        self._spool = Spool(app.work / "spool")
        self._state = self._load()
        state.recover(self._state, self._spool.files)
        cursor = CursorFile(journal_cursor(app.root))
        cursor.load()
        if cursor.damage:
            app.health.problem("cursor.damaged", f"{cursor.damage}; the journal is read from its begin")
        self._harvest = Harvest(
            directory(app.root), cursor, self._spool, self._state, self._configuration, self._device
        )
        self._day = Allowance(self._state.spent)
        self._queues = Queues(app.root, self._device, app.health.set)
        self._deliveries = Deliveries(app.work, app.health, app.log)
        self._records = Records(
            self._state, self._spool, self._harvest.alarms, self._device, self._day, self._deliveries.passed,
            self._harvest.declare,
        )  # fmt: skip
        self._manager = Manager(make)
        self._tasks = Tasks(self._manager, self._state, app.health.set, self._day)
        app.health.show("upload", self._numbers)

    def __enter__(self) -> Uploader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._part("state", lambda: self._save(lazily=False)):
            self._part("journal.cursor", self._harvest.release)
        self._deliveries.close()
        self._manager.close()
        self._harvest.close()

    def apply(self, configuration: Configuration) -> None:
        """Takes a new configuration, from any thread."""
        self._configuration = configuration
        self._deliveries.apply(configuration.destinations, configuration.plugins)

    def pause(self) -> float:
        """s until the next pass is due."""
        return 0.0 if self._more else PERIOD

    def step(self) -> None:
        configuration = self._configuration
        if configuration is not self._harvest.configuration:
            self._harvest.apply(configuration)
            self._defined = []
        if not configuration.bucket and not self._deliveries.wanted:
            self._more = False
            return
        self._part("queues", self._queues.look)
        readers = self._queues.readers
        self._deliveries.step(readers)
        if not configuration.bucket:
            self._more = False
            return
        self._part("queue", lambda: self._records.look(readers))
        self._more = False
        self._part("journal", self._read)
        self._app.health.set("journal.stands", self._harvest.stands or None)
        if not configuration.kinesis:
            self._part("records", lambda: self._records.store(readers, configuration))
        if self._part("state", lambda: self._save(lazily=self._spool.made == self._files)):
            self._files = self._spool.made
            if self._saved.current:
                self._part("journal.cursor", self._harvest.release)
            self._part("stream manager", lambda: self._hand_over(readers, configuration))
            self._part("queue", self._queues.save)
            self._part("state", lambda: self._save(lazily=True))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        self._more = self._harvest.read()

    def _save(self, *, lazily: bool) -> None:
        try:
            self._harvest.account()
            self._saved.save(self._state, lazily=lazily and self._spool.made == self._files)
        except OSError as error:
            why = error.strerror or str(error)
            where = str(self._app.work / "state.json")
            mend = "free disk space"
            raise EdgeloopError("cannot save what was uploaded", where=where, why=why, mend=mend) from error

    def _hand_over(self, readers: list[Any], configuration: Configuration) -> None:
        if not self._manager.connected:
            raise _Waits
        wanted = self._defined or definitions(configuration)
        if not self._defined:
            for definition in wanted:
                self._manager.define(definition)
            self._defined = wanted
        self._tasks.offer(self._file(waiting) for waiting in self._spool.files if not self._tasks.has(waiting.path))
        self._tasks.offer(self._queues.files(configuration))
        self._tasks.step(configuration)
        if configuration.kinesis:
            why = self._records.stream(readers, configuration, self._manager)
            line = f"Kinesis does not take records: {why}; they are kept and tried again" if why else None
            self._app.health.set("kinesis", line)

    def _file(self, waiting: Waiting) -> File:
        note = waiting.note
        line = "files" if note.kind == "records" else "samples"
        kind: Kind = "records" if note.kind == "records" else "samples"
        return File(waiting.path, note.key, note.bytes, line, note.made, lambda: self._spool.remove(waiting), kind)

    def _part(self, key: str, action: Callable[[], None]) -> bool:
        """Whether a part of the pass succeeded."""
        try:
            action()
        except _Waits:
            return False
        except EdgeloopError as error:
            self._app.health.problem(key, str(error))
            self._app.health.count(f"failed.{key.replace(' ', '_')}")
            if key == "stream manager":
                self._defined = []
            return False
        self._app.health.clear(key)
        return True

    def _load(self) -> state.State:
        found = self._saved.load()
        if self._saved.damage:
            self._app.health.problem("state.damaged", f"{self._saved.damage}; what is in the journal goes up again")
        return found

    def _numbers(self) -> dict[str, float]:
        files = self._tasks.waiting
        oldest = min([file.made for file in files], default=clock.now())
        return {
            "objects": self._state.objects,
            "bytes": self._state.bytes,
            "samples": self._harvest.samples,
            "records": self._records.sent,
            "records_oversize": self._records.oversize,
            "records_damaged": self._records.damaged,
            "backlog_files": len(files),
            "backlog_bytes": self._spool.bytes + self._records.backlog,
            "backlog_age_s": round((clock.now() - oldest) / clock.NS, 1),
            "day_bytes": self._day.spent(),
            "day_held": self._tasks.counts.held,
            "in_hand_bytes": self._harvest.held,
            "failures": self._tasks.counts.failures,
            "resent": self._tasks.counts.resent,
            "vanished": self._tasks.counts.vanished,
            "unreadable": self._harvest.gaps,
            "connections": self._manager.connections,
        }


class _Waits(Exception):
    """For the next attempt to connect; the problem of the last one stands."""
