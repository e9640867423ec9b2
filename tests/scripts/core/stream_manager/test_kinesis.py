"""Kinesis: batches, keys, how far it is, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from stream_manager import (
    ExportDefinition,
    KinesisConfig,
    MessageStreamDefinition,
    StrategyOnFull,
    StreamManagerClient,
)

from .conftest import StreamManager, exported, until


@pytest.fixture
def served(stream_manager: StreamManager, endpoint: str) -> StreamManager:
    stream_manager.endpoint = endpoint
    return stream_manager


def create(client: StreamManagerClient, target: str, name: str = "s", **fields: Any) -> None:
    config = KinesisConfig(identifier="k", kinesis_stream_name=target, **fields)
    client.create_message_stream(MessageStreamDefinition(
        name=name, strategy_on_full=StrategyOnFull.OverwriteOldestData,
        export_definition=ExportDefinition(kinesis=[config])))


def records(kinesis: Any, stream: str) -> list[dict[str, Any]]:
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    found: list[dict[str, Any]] = []
    following = iterator["ShardIterator"]
    while batch := kinesis.get_records(ShardIterator=following, Limit=10_000):
        if not batch["Records"]:
            break
        found += batch["Records"]
        following = batch["NextShardIterator"]
    return found


def test_records_arrive_in_order_with_random_keys(served: StreamManager, aws: Callable[[str], Any]) -> None:
    client = served.start()
    create(client, "all")
    payloads = [b"record %d" % number for number in range(700)]
    for payload in payloads:
        client.append_message("s", payload)
    state = until(lambda: (one := exported(client, "s")).last_exported_sequence_number == 699 and one)
    assert state.exported_messages_count == 700
    assert state.exported_bytes_from_stream == sum(map(len, payloads))
    assert state.error_message is None
    assert abs(state.last_export_time - time.time() * 1000) < 60_000
    found = records(aws("kinesis"), "all")
    assert [record["Data"] for record in found] == payloads
    assert len({record["PartitionKey"] for record in found}) == 700
    served.kill()
    again = served.start()
    again.append_message("s", b"more")
    until(lambda: exported(again, "s").last_exported_sequence_number == 700)
    assert [record["Data"] for record in records(aws("kinesis"), "all")] == [*payloads, b"more"]


def test_a_batch_waits_until_it_is_full(served: StreamManager, aws: Callable[[str], Any]) -> None:
    client = served.start()
    create(client, "full", batch_size=3, batch_interval_millis=60_000, start_sequence_number=1)
    create(client, "at-once", "t", batch_size=3)
    for number in range(3):
        client.append_message("s", b"%d" % number)
        client.append_message("t", b"%d" % number)
    until(lambda: exported(client, "t").last_exported_sequence_number == 2)
    assert exported(client, "s").last_exported_sequence_number == 0
    client.append_message("s", b"3")
    until(lambda: exported(client, "s").last_exported_sequence_number == 3)
    assert [record["Data"] for record in records(aws("kinesis"), "full")] == [b"1", b"2", b"3"]


def test_what_no_request_takes_is_passed_over(served: StreamManager, aws: Callable[[str], Any]) -> None:
    client = served.start()
    create(client, "big")
    for payload in (b"before", bytes(1 << 20), b"after", *[bytes(900_000)] * 7):
        client.append_message("s", payload)
    until(lambda: exported(client, "s").last_exported_sequence_number == 9)
    assert [len(record["Data"]) for record in records(aws("kinesis"), "big")] == [6, 5, *[900_000] * 7]
    assert exported(client, "s").exported_messages_count == 9
    assert "message 1 has 1048576 bytes" in served.log.read_text()


def test_a_stream_that_is_not_there_is_tried_again(served: StreamManager, aws: Callable[[str], Any]) -> None:
    client = served.start(create=False)
    create(client, "later")
    client.append_message("s", b"x")
    failed = until(lambda: (one := exported(client, "s")).error_message and one)
    assert "ResourceNotFoundException" in failed.error_message
    assert failed.last_exported_sequence_number == -1
    aws("kinesis").create_stream(StreamName="later", ShardCount=1)
    until(lambda: exported(client, "s").last_exported_sequence_number == 0)
    assert exported(client, "s").error_message is None
