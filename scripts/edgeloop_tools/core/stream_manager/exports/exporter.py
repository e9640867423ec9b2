"""What every export of a stream does: wait for messages, export, keep how far it is."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from edgeloop_tools.core.stream_manager.cloud import Cloud
from edgeloop_tools.core.stream_manager.exports.pause import Hurry, Pause
from edgeloop_tools.core.stream_manager.exports.pool import Pool
from edgeloop_tools.core.stream_manager.exports.status import StatusWriter
from edgeloop_tools.core.stream_manager.store import ExportState, Stream

log = logging.getLogger("edgeloop.core.stream_manager")


@dataclass(frozen=True, slots=True)
class Means:
    """What exporters share. owner: uid and gid whose files may be uploaded, None for any."""

    cloud: Cloud
    pool: Pool
    status: StatusWriter
    hurry: Hurry
    owner: tuple[int, int] | None


class Exporter:
    """`run` goes on until it is cancelled."""

    def __init__(self, stream: Stream, identifier: str, means: Means) -> None:
        self.stream, self.means = stream, means
        self._identifier = identifier
        self.backoff = Pause(means.hurry)

    @property
    def state(self) -> ExportState:
        return self.stream.exports[self._identifier]

    @property
    def next(self) -> int:
        """The sequence number to export now."""
        return max(self.state.last_exported_sequence_number + 1, self.stream.log.oldest)

    async def run(self) -> None:
        raise NotImplementedError

    def exported(self, last: int, messages: int, size: int) -> None:
        """Everything up to `last` is done; `messages` of `size` bytes arrived."""
        state = self.state
        if state.error_message:
            log.info("%s: export %s goes on", self.stream.definition.name, self._identifier)
        state.last_exported_sequence_number = max(state.last_exported_sequence_number, last)
        state.last_export_time = time.time_ns() // 1_000_000
        state.error_message = None
        state.exported_messages_count += messages
        state.exported_bytes_from_stream += size
        self._save()
        self.backoff.succeeded()

    def failed(self, why: str) -> None:
        """An attempt failed; it is told once while it stays the same."""
        state = self.state
        if state.error_message != why:
            log.warning("%s: export %s fails: %s", self.stream.definition.name, self._identifier, why)
        state.last_export_time = time.time_ns() // 1_000_000
        state.error_message = why
        self._save()

    def _save(self) -> None:
        try:
            self.stream.save_exports()
        except OSError as error:
            log.warning("%s: how far its exports are is not saved: %s", self.stream.definition.name, error)
