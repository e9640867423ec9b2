"""An unmodified client over a real socket."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from stream_manager import (
    ExportDefinition,
    HTTPConfig,
    InvalidRequestException,
    IoTAnalyticsConfig,
    IoTSiteWiseConfig,
    KinesisConfig,
    MessageStreamDefinition,
    NotEnoughMessagesException,
    Persistence,
    ReadMessagesOptions,
    RequestPayloadTooLargeException,
    ResourceNotFoundException,
    ResponsePayloadTooLargeException,
    S3ExportTaskExecutorConfig,
    ServerOutOfMemoryException,
    StatusConfig,
    StatusLevel,
    StrategyOnFull,
    StreamManagerClient,
    StreamManagerException,
    UnknownFailureException,
    UpdateNotAllowedException,
)
from stream_manager.data import ExportFormat

from .conftest import StreamManager, messages

REJECT, OVERWRITE = StrategyOnFull.RejectNewData, StrategyOnFull.OverwriteOldestData


@pytest.fixture
def client(stream_manager: StreamManager) -> Iterator[StreamManagerClient]:
    yield stream_manager.start()
    assert stream_manager.stop() == 0
    assert "Traceback" not in stream_manager.log.read_text()


def test_a_definition_is_described_as_it_was_given(client: StreamManagerClient) -> None:
    status = StatusConfig(status_level=StatusLevel.TRACE, status_stream_name="status")
    export = ExportDefinition(
        http=[HTTPConfig(identifier="h", uri="http://x", export_format=ExportFormat.JSON_BATCHED, disabled=True)],
        iot_analytics=[IoTAnalyticsConfig(identifier="a", iot_channel="c", iot_msg_id_prefix="p", disabled=True)],
        kinesis=[KinesisConfig(identifier="k", kinesis_stream_name="n", batch_size=7, batch_interval_millis=60_000,
                               priority=3, start_sequence_number=5, disabled=True)],
        iot_sitewise=[IoTSiteWiseConfig(identifier="w", batch_size=10, disabled=True)],
        s3_task_executor=[S3ExportTaskExecutorConfig(identifier="s", priority=1, disabled=True, status_config=status,
                                                     size_threshold_for_multipart_upload_bytes=5 << 20)],
    )
    given = MessageStreamDefinition(
        name="Every field, é-1_2.3", max_size=1 << 40, stream_segment_size=1 << 20, time_to_live_millis=60_000,
        strategy_on_full=OVERWRITE, persistence=Persistence.File, flush_on_write=True, export_definition=export,
    )
    client.create_message_stream(given)
    info = client.describe_message_stream(given.name)
    assert info.definition.as_dict() == given.as_dict()
    assert info.storage_status.as_dict() == {"oldestSequenceNumber": 0, "newestSequenceNumber": -1, "totalBytes": 0}
    last = {one.export_config_identifier: one.last_exported_sequence_number for one in info.export_statuses}
    assert last == {"h": -1, "a": -1, "k": 4, "w": -1, "s": -1}
    client.create_message_stream(MessageStreamDefinition(name="b", strategy_on_full=REJECT))
    assert client.list_streams() == [given.name, "b"]
    defaults = client.describe_message_stream("b").definition
    assert (defaults.max_size, defaults.stream_segment_size) == (256 << 20, 16 << 20)
    assert (defaults.persistence, defaults.flush_on_write) == (Persistence.File, False)


def test_append_and_read(client: StreamManagerClient) -> None:
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=REJECT))
    before = time.time_ns() // 1_000_000
    assert [client.append_message("s", b"%d" % number) for number in range(10)] == list(range(10))
    (first,) = client.read_messages("s")
    assert (first.stream_name, first.sequence_number, first.payload) == ("s", 0, b"0")
    assert before <= first.ingest_time <= time.time_ns() // 1_000_000
    read = client.read_messages("s", ReadMessagesOptions(desired_start_sequence_number=4, min_message_count=2))
    assert [message.payload for message in read] == [b"4", b"5"]
    read = client.read_messages("s", ReadMessagesOptions(desired_start_sequence_number=4, max_message_count=100))
    assert [message.sequence_number for message in read] == list(range(4, 10))
    for start, wanted in ((10, 1), (0, 11)):
        with pytest.raises(NotEnoughMessagesException):
            client.read_messages("s", ReadMessagesOptions(start, min_message_count=wanted, max_message_count=wanted))
    assert client.describe_message_stream("s").storage_status.newest_sequence_number == 9


def test_a_read_waits_and_holds_nothing_up(client: StreamManagerClient, stream_manager: StreamManager) -> None:
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=REJECT))
    other = stream_manager.client()
    found: list[Any] = []
    waiting = threading.Thread(target=lambda: found.extend(
        other.read_messages("s", ReadMessagesOptions(0, min_message_count=3, read_timeout_millis=15_000))))
    waiting.start()
    for number in range(3):
        assert not found
        client.append_message("s", b"%d" % number)
    waiting.join(60)
    assert [message.sequence_number for message in found] == [0, 1, 2]
    began = time.monotonic()
    with pytest.raises(NotEnoughMessagesException):
        client.read_messages("s", ReadMessagesOptions(3, read_timeout_millis=300))
    assert time.monotonic() - began >= 0.3
    gone: list[BaseException] = []

    def read() -> None:
        try:
            other.read_messages("s", ReadMessagesOptions(3, read_timeout_millis=15_000))
        except StreamManagerException as error:
            gone.append(error)

    waiting = threading.Thread(target=read)
    waiting.start()
    client.list_streams()
    client.delete_message_stream("s")
    waiting.join(60)
    assert isinstance(gone[0], (ResourceNotFoundException, NotEnoughMessagesException))


def test_refusals_are_the_clients_exceptions(client: StreamManagerClient) -> None:
    for call in (client.delete_message_stream, client.describe_message_stream, client.read_messages):
        with pytest.raises(ResourceNotFoundException, match="nothing"):
            call("nothing")
    with pytest.raises(ResourceNotFoundException):
        client.append_message("nothing", b"x")
    small = MessageStreamDefinition(name="s", strategy_on_full=REJECT, max_size=2048, stream_segment_size=1024)
    client.create_message_stream(small)
    with pytest.raises(InvalidRequestException, match="exists already"):
        client.create_message_stream(small)
    with pytest.raises(RequestPayloadTooLargeException):
        client.append_message("s", bytes(1024))
    for _ in range(3):
        client.append_message("s", bytes(500))
    with pytest.raises(ServerOutOfMemoryException, match="full"):
        client.append_message("s", bytes(500))
    with pytest.raises(InvalidRequestException, match="larger than maxSize"):
        client.create_message_stream(MessageStreamDefinition(name="t", strategy_on_full=REJECT, max_size=1024,
                                                             stream_segment_size=2048))
    twice = [KinesisConfig(identifier="k", kinesis_stream_name="n")] * 2
    with pytest.raises(InvalidRequestException, match="used twice: k"):
        client.create_message_stream(MessageStreamDefinition(name="t", strategy_on_full=REJECT,
                                                             export_definition=ExportDefinition(kinesis=twice)))
    client.delete_message_stream("s")
    assert client.list_streams() == []


def test_an_update_changes_what_may_change(client: StreamManagerClient) -> None:
    small = MessageStreamDefinition(name="s", strategy_on_full=REJECT, max_size=1024, stream_segment_size=1024)
    client.create_message_stream(small)
    client.append_message("s", bytes(900))
    with pytest.raises(ServerOutOfMemoryException):
        client.append_message("s", bytes(900))
    small.strategy_on_full = OVERWRITE
    client.update_message_stream(small)
    assert client.append_message("s", bytes(900)) == 1
    assert client.describe_message_stream("s").storage_status.oldest_sequence_number == 1
    small.persistence = Persistence.Memory
    with pytest.raises(UpdateNotAllowedException):
        client.update_message_stream(small)
    small.name = "t"
    with pytest.raises(ResourceNotFoundException):
        client.update_message_stream(small)


def test_large_messages(client: StreamManagerClient) -> None:
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=REJECT))
    payload = bytes(range(256)) * (15 << 12)
    for _ in range(5):
        client.append_message("s", payload)
    read = client.read_messages("s", ReadMessagesOptions(max_message_count=5))
    assert [message.payload == payload for message in read] == [True] * 4, "as many as a response takes"
    with pytest.raises(ResponsePayloadTooLargeException):
        client.read_messages("s", ReadMessagesOptions(min_message_count=5, max_message_count=5))


def test_a_disk_that_is_full_loses_nothing(client: StreamManagerClient, stream_manager: StreamManager) -> None:
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=REJECT))
    client.append_message("s", bytes(1000))
    assert stream_manager.process
    pid = stream_manager.process.pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    for _ in range(3):
        client.append_message("s", bytes(1000))
    with pytest.raises(UnknownFailureException, match="no room"):
        client.append_message("s", bytes(1000))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert client.append_message("s", b"after") == len(messages(client, "s")) - 1
    stream_manager.kill()
    again = stream_manager.start()
    assert [len(message.payload) for message in messages(again, "s")] == [1000, 1000, 1000, 1000, 5]
