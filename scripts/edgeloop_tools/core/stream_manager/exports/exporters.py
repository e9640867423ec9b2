"""The exporters of all streams: started, ended and changed with the definitions."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from edgeloop_tools.core.stream_manager.definitions import Export, KinesisConfig, S3Config
from edgeloop_tools.core.stream_manager.exports.exporter import Exporter, Means
from edgeloop_tools.core.stream_manager.exports.kinesis import KinesisExporter
from edgeloop_tools.core.stream_manager.exports.s3 import S3Exporter
from edgeloop_tools.core.stream_manager.exports.status import Status
from edgeloop_tools.core.stream_manager.exports.unsupported import UnsupportedExporter
from edgeloop_tools.core.stream_manager.store import ExportState, Message, Stream, Streams

log = logging.getLogger("edgeloop.core.stream_manager")


class _Running(NamedTuple):
    """task: None while the export is disabled."""

    stream: Stream
    export: Export
    state: ExportState
    task: asyncio.Task[None] | None


class Exporters:
    def __init__(self, streams: Streams, means: Means) -> None:
        self._streams, self._means = streams, means
        self._ready = asyncio.Event()
        self._running: dict[tuple[str, str], _Running] = {}

    def start(self) -> None:
        """The endpoint is there: what waits begins."""
        self._ready.set()
        for name in self._streams.names:
            self.refresh(name)

    def refresh(self, name: str) -> None:
        """Run what the stream's definition wants, and nothing else of it."""
        stream = self._streams.find(name)
        wanted = {} if stream is None else {export.identifier: export for export in stream.definition.exports}
        for key in [key for key in self._running if key[0] == name]:
            running = self._running[key]
            if running.stream is stream and wanted.get(key[1]) == running.export:
                continue
            if running.task:
                running.task.cancel()
            del self._running[key]
            if key[1] not in wanted:
                left = list(running.stream.log.read(running.state.last_exported_sequence_number + 1))
                self._tell_canceled(running.stream, running.export, left)
        for identifier, export in wanted.items():
            if stream is not None and (name, identifier) not in self._running:
                work = None if export.disabled else self._run(self._of(stream, export), f"{name}, export {identifier}")
                task = asyncio.create_task(work) if work else None
                self._running[name, identifier] = _Running(stream, export, stream.state(export), task)

    def dropping(self, stream: Stream, messages: list[Message]) -> None:
        """Messages go before every export has taken them: S3 tasks among them are canceled."""
        for export in stream.definition.exports:
            last = stream.state(export).last_exported_sequence_number
            left = [message for message in messages if message.sequence_number > last]
            asyncio.get_running_loop().call_soon(self._tell_canceled, stream, export, left)

    async def close(self) -> None:
        tasks = [running.task for running in self._running.values() if running.task]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _of(self, stream: Stream, export: Export) -> Exporter:
        match export:
            case S3Config():
                return S3Exporter(stream, export, self._means)
            case KinesisConfig():
                return KinesisExporter(stream, export, self._means)
        return UnsupportedExporter(stream, export.identifier, self._means)

    def _tell_canceled(self, stream: Stream, export: Export, messages: list[Message]) -> None:
        if isinstance(export, S3Config):
            for message in messages:
                text = "the task was deleted before it was done"
                self._means.status.write(stream, export, message, Status.CANCELED, text)

    async def _run(self, exporter: Exporter, what: str) -> None:
        await self._ready.wait()
        while True:
            try:
                await exporter.run()
            except Exception as error:
                log.error("%s: %s", what, error, exc_info=log.isEnabledFor(logging.DEBUG))
                exporter.failed(f"{type(error).__name__}: {error}")
                await exporter.backoff.wait()
