"""S3 export tasks: one file per message, in the order of the stream."""

from __future__ import annotations

import botocore.exceptions

from edgeloop_tools.core.stream_manager.cloud import describe, retryable
from edgeloop_tools.core.stream_manager.definitions import S3Config
from edgeloop_tools.core.stream_manager.exports.exporter import Exporter, Means
from edgeloop_tools.core.stream_manager.exports.status import Status
from edgeloop_tools.core.stream_manager.exports.tasks import (
    Task,
    TaskError,
    open_input,
    parse,
    resolve_key,
    utc_now,
)
from edgeloop_tools.core.stream_manager.store import Message, Stream

_THRESHOLD = 5 << 20
"""Bytes from which a file goes up in parts, where the definition says nothing."""


class S3Exporter(Exporter):
    def __init__(self, stream: Stream, config: S3Config, means: Means) -> None:
        super().__init__(stream, config.identifier, means)
        self._config = config

    async def run(self) -> None:
        while True:
            message = next(self.stream.log.read(self.next), None)
            if message is None:
                await self.stream.change()
            else:
                await self._export(message)

    async def _export(self, message: Message) -> None:
        """Ends with Success or Failure; what may pass by itself is tried again without end."""
        self._tell(message, Status.IN_PROGRESS, "the upload has started")
        while True:
            try:
                key = await self.means.pool.run(self._config.rank, lambda: self._upload(message))
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                why = describe(error)
                if retryable(error):
                    self.failed(why)
                    self._tell(message, Status.WARNING, f"it is tried again: {why}")
                    await self.backoff.wait()
                    if self.stream.log.oldest <= message.sequence_number:
                        continue
                    return
                self._give_up(message, why)
            except (TaskError, OSError) as error:
                self._give_up(message, describe(error) if isinstance(error, OSError) else str(error))
            else:
                self._tell(message, Status.SUCCESS, f"uploaded to {key}")
                self.exported(message.sequence_number, 1, len(message.payload))
            return

    def _upload(self, message: Message) -> str:
        task: Task = parse(message.payload)
        key = resolve_key(task.key, utc_now())
        threshold = self._config.size_threshold_for_multipart_upload_bytes or _THRESHOLD
        with open_input(task.path, self.means.owner) as descriptor:
            self.means.cloud.upload(descriptor, task.bucket, key, task.metadata, threshold)
        return f"s3://{task.bucket}/{key}"

    def _give_up(self, message: Message, why: str) -> None:
        self._tell(message, Status.FAILURE, why)
        self.exported(message.sequence_number, 0, 0)
        self.failed(why)

    def _tell(self, message: Message, status: Status, text: str) -> None:
        self.means.status.write(self.stream, self._config, message, status, text)
