"""Batches of records to Kinesis, each record with a random partition key."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Any

import botocore.exceptions

from edgeloop_tools.core.stream_manager.cloud import describe
from edgeloop_tools.core.stream_manager.definitions import KinesisConfig
from edgeloop_tools.core.stream_manager.exports.exporter import Exporter, Means, log
from edgeloop_tools.core.stream_manager.store import Message, Stream

_BATCH = 500
_KEY_BYTES = 32
_RECORD_LIMIT = (1 << 20) - _KEY_BYTES
_REQUEST_LIMIT = 5 << 20
"""Quotas of PutRecords: records, bytes of one with its key, bytes of all."""


class KinesisExporter(Exporter):
    def __init__(self, stream: Stream, config: KinesisConfig, means: Means) -> None:
        super().__init__(stream, config.identifier, means)
        self._config = config

    async def run(self) -> None:
        while True:
            await self._due()
            batch = self._batch()
            if batch:
                await self._export(batch)

    async def _due(self) -> None:
        """Returns when there is a batch: as many messages as it takes, or its oldest has waited long enough."""
        interval = self._config.batch_interval_millis
        while True:
            first = next(self.stream.log.read(self.next), None)
            if first is None:
                await self.stream.change()
                continue
            if interval is None or self.stream.log.available(self.next) >= self._size:
                return
            rest = first.ingest_time + interval - time.time_ns() // 1_000_000
            if rest <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest / 1000):
                    await self.stream.change()

    @property
    def _size(self) -> int:
        return self._config.batch_size or _BATCH

    def _batch(self) -> list[Message]:
        """The next messages of one request. Such as no request could take are passed over."""
        found: list[Message] = []
        size = 0
        for message in self.stream.log.read(self.next):
            if len(message.payload) > _RECORD_LIMIT:
                if not found:
                    self._skip(message)
                break
            size += len(message.payload) + _KEY_BYTES
            if size > _REQUEST_LIMIT:
                break
            found.append(message)
            if len(found) == self._size:
                break
        return found

    def _skip(self, message: Message) -> None:
        why = f"message {message.sequence_number} has {len(message.payload)} bytes, and a record takes {_RECORD_LIMIT}"
        log.warning("%s: not exported: %s", self.stream.definition.name, why)
        self.exported(message.sequence_number, 0, 0)
        self.failed(why)

    async def _export(self, batch: list[Message]) -> None:
        """Every record, as often as it takes; only those that were refused are sent again."""
        left = {message.sequence_number: message for message in batch}
        while left:
            try:
                answers = await self.means.pool.run(self._config.rank, lambda: self._put(list(left.values())))
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                self.failed(describe(error))
                await self.backoff.wait()
                continue
            refused = ""
            taken = []
            for message, answer in zip(list(left.values()), answers, strict=True):
                if answer.get("ErrorCode"):
                    refused = refused or f"{answer['ErrorCode']}: {answer.get('ErrorMessage', '')}"
                else:
                    taken.append(left.pop(message.sequence_number))
            last = min(left) - 1 if left else batch[-1].sequence_number
            if taken:
                self.exported(last, len(taken), sum(len(message.payload) for message in taken))
            if refused:
                self.failed(refused)
                await self.backoff.wait()

    def _put(self, messages: list[Message]) -> list[dict[str, Any]]:
        records = [
            {"Data": message.payload, "PartitionKey": secrets.token_hex(_KEY_BYTES // 2)} for message in messages
        ]
        return self.means.cloud.put_records(self._config.kinesis_stream_name, records)
