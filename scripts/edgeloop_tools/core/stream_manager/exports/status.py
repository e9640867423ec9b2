"""Status messages, as `stream_manager.Util` reads them from a status stream."""

from __future__ import annotations

import enum
import logging
import time
from typing import Any

import msgspec

from edgeloop_tools.core.stream_manager.definitions import S3Config, StatusLevel
from edgeloop_tools.core.stream_manager.store import Message, Stream, StreamFull, Streams
from edgeloop_tools.core.stream_manager.store.log import TooLarge

log = logging.getLogger("edgeloop.core.stream_manager")


class Status(enum.IntEnum):
    SUCCESS = 0
    FAILURE = 1
    IN_PROGRESS = 2
    WARNING = 3
    CANCELED = 4


LEVELS = {
    Status.SUCCESS: StatusLevel.INFO,
    Status.FAILURE: StatusLevel.ERROR,
    Status.IN_PROGRESS: StatusLevel.INFO,
    Status.WARNING: StatusLevel.WARN,
    Status.CANCELED: StatusLevel.WARN,
}
_S3_TASK = 0


class StatusWriter:
    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def write(self, stream: Stream, config: S3Config, message: Message, status: Status, text: str) -> None:
        """What became of an S3 task, where its exporter has a status stream and wants this level."""
        if config.status_config is None or config.status_config.status_stream_name is None:
            return
        wanted, level = config.status_config.status_level, LEVELS[status]
        if level > (StatusLevel.INFO if wanted is None else wanted):
            return
        name = config.status_config.status_stream_name
        target = self._streams.find(name)
        if target is None:
            log.warning("a status of %s is lost: there is no message stream named %s", stream.definition.name, name)
            return
        now = time.time_ns() // 1_000_000
        document: dict[str, Any] = {
            "eventType": _S3_TASK,
            "statusLevel": level,
            "status": status,
            "statusContext": {
                "exportIdentifier": config.identifier,
                "streamName": stream.definition.name,
                "sequenceNumber": message.sequence_number,
                **_task(message.payload),
            },
            "message": text,
            "timestampEpochMs": now,
        }
        try:
            target.append(msgspec.json.encode(document), now)
        except (StreamFull, TooLarge, OSError) as error:
            log.warning("a status of %s is lost (%s): %s", stream.definition.name, name, error)


def _task(payload: bytes) -> dict[str, Any]:
    try:
        task = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return {}
    return {"s3ExportTaskDefinition": task} if isinstance(task, dict) else {}
