"""One stream: its definition, its messages, how far each export is."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeloop_tools.core import files
from edgeloop_tools.core.stream_manager.definitions import (
    BatchedExport,
    Export,
    MessageStreamDefinition,
    Persistence,
)
from edgeloop_tools.core.stream_manager.store.log import Log
from edgeloop_tools.core.stream_manager.store.segment import Message, Segment

DEFINITION = "definition.json"
_EXPORTS = "exports.json"


class ExportState(msgspec.Struct, rename="camel", omit_defaults=True):
    """last_exported_sequence_number is one before the first to export, -1 at the start. Time in ms since 1970."""

    export_config_identifier: str
    last_exported_sequence_number: int = -1
    last_export_time: int | None = None
    error_message: str | None = None
    exported_bytes_from_stream: int = 0
    exported_messages_count: int = 0


OnDrop = Callable[["Stream", list[Message]], None]


class Stream:
    """`on_drop` gets the messages of a segment that is about to be deleted and that an export had still to do."""

    def __init__(self, definition: MessageStreamDefinition, folder: Path, on_drop: OnDrop) -> None:
        self.definition = definition
        self.folder = folder
        self.exports: dict[str, ExportState] = {}
        self._on_drop = on_drop
        self._change = asyncio.Event()
        self._load_exports()
        self.log = Log(definition, folder, self._dropping)
        self._align(definition)

    @property
    def on_disk(self) -> bool:
        return self.definition.persistence is Persistence.FILE

    def update(self, definition: MessageStreamDefinition) -> None:
        if self.on_disk:
            save_definition(self.folder, definition)
        self.definition = self.log.definition = definition
        self._align(definition)
        self.save_exports()

    def append(self, payload: bytes, now: int) -> int:
        """See Log.append."""
        number = self.log.append(payload, now)
        self.pulse()
        return number

    async def flush(self) -> None:
        """What was appended is on the medium."""
        descriptor = self.log.descriptor()
        if descriptor is not None:
            try:
                await asyncio.to_thread(os.fdatasync, descriptor)
            finally:
                os.close(descriptor)

    async def change(self) -> None:
        """Returns when something was appended, deleted or updated after the call."""
        await self._change.wait()

    def pulse(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def state(self, export: Export) -> ExportState:
        return self.exports[export.identifier]

    def save_exports(self) -> None:
        """Survives the death of the process."""
        if self.on_disk:
            data = msgspec.json.encode(list(self.exports.values()))
            files.write(self.folder / _EXPORTS, data, 0o600, durable=False)

    def close(self) -> None:
        self.save_exports()
        self.log.close()

    def remove(self) -> None:
        self.log.close()
        if self.on_disk:
            gone = self.folder.with_suffix(".deleted")
            self.folder.rename(gone)
            shutil.rmtree(gone)

    def _dropping(self, segment: Segment) -> None:
        done = min((state.last_exported_sequence_number for state in self.exports.values()), default=segment.newest)
        if done < segment.newest:
            self._on_drop(self, list(segment.read(done + 1)))

    def _align(self, definition: MessageStreamDefinition) -> None:
        kept: dict[str, ExportState] = {}
        for export in definition.exports:
            start = export.start_sequence_number if isinstance(export, BatchedExport) else None
            fresh = ExportState(export.identifier, (start or 0) - 1)
            kept[export.identifier] = self.exports.get(export.identifier, fresh)
        self.exports = kept

    def _load_exports(self) -> None:
        path = self.folder / _EXPORTS
        if self.on_disk and path.exists():
            states = msgspec.json.decode(path.read_bytes(), type=list[ExportState])
            self.exports = {state.export_config_identifier: state for state in states}


def save_definition(folder: Path, definition: MessageStreamDefinition) -> None:
    files.write(folder / DEFINITION, msgspec.json.encode(definition.wire()), 0o600)


def load_definition(folder: Path) -> MessageStreamDefinition:
    """Raises OSError, msgspec.MsgspecError."""
    return msgspec.json.decode((folder / DEFINITION).read_bytes(), type=MessageStreamDefinition)
