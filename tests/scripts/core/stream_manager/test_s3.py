"""S3 export tasks: files, statuses, keys, what goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stream_manager import (
    ExportDefinition,
    IoTAnalyticsConfig,
    MessageStreamDefinition,
    S3ExportTaskDefinition,
    S3ExportTaskExecutorConfig,
    Status,
    StatusConfig,
    StatusLevel,
    StrategyOnFull,
    StreamManagerClient,
    Util,
)

from edgeloop_tools.core.stream_manager.exports.pool import Pool
from edgeloop_tools.core.stream_manager.exports.tasks import TaskError, open_input, resolve_key

from .conftest import StreamManager, ended, exported, statuses, until

OVERWRITE = StrategyOnFull.OverwriteOldestData


def create(client: StreamManagerClient, level: StatusLevel | None = StatusLevel.TRACE, **fields: Any) -> None:
    """A stream `tasks` and its status stream."""
    config = StatusConfig(status_level=level, status_stream_name="status")
    export = ExportDefinition(s3_task_executor=[S3ExportTaskExecutorConfig(identifier="up", status_config=config)])
    client.create_message_stream(MessageStreamDefinition(name="status", strategy_on_full=OVERWRITE))
    client.create_message_stream(MessageStreamDefinition(
        name="tasks", strategy_on_full=OVERWRITE, export_definition=export, **fields))


def task(client: StreamManagerClient, path: Path | str, key: str, bucket: str = "bucket", **metadata: str) -> int:
    url = path.as_uri() if isinstance(path, Path) else path
    definition = S3ExportTaskDefinition(input_url=url, bucket=bucket, key=key, user_metadata=metadata or None)
    number: int = client.append_message("tasks", Util.validate_and_serialize_to_json_bytes(definition))
    return number


@pytest.fixture
def served(stream_manager: StreamManager, endpoint: str) -> StreamManager:
    stream_manager.endpoint = endpoint
    return stream_manager


def test_files_go_up_as_they_are(served: StreamManager, aws: Callable[[str], Any], tmp_path: Path) -> None:
    client = served.start()
    create(client)
    small, large, empty = tmp_path / "small file.bin", tmp_path / "large", tmp_path / "empty"
    small.write_bytes(os.urandom(1000))
    large.write_bytes(os.urandom(9 << 20))
    empty.write_bytes(b"")
    task(client, small, "a/!{timestamp:yyyy}/small", Kind="window", **{"x-y": "1"})
    task(client, large, "a/large")
    task(client, empty, "a/empty")
    assert until(lambda: ended(client, 2)).status is Status.Success
    s3 = aws("s3")
    key = f"a/{datetime.now(UTC):%Y}/small"
    found = s3.get_object(Bucket="bucket", Key=key)
    assert found["Body"].read() == small.read_bytes()
    assert found["Metadata"] == {"kind": "window", "x-y": "1"}
    found = s3.get_object(Bucket="bucket", Key="a/large")
    assert found["Body"].read() == large.read_bytes()
    assert found["ETag"].endswith('-2"'), "in parts"
    assert s3.get_object(Bucket="bucket", Key="a/empty")["ContentLength"] == 0
    said = [(status.status, status.status_level, status.status_context.sequence_number) for status in statuses(client)]
    assert said == [(what, StatusLevel.INFO, number) for number in range(3)
                    for what in (Status.InProgress, Status.Success)]
    first = statuses(client)[0]
    assert first.status_context.s3_export_task_definition.as_dict() == {
        "inputUrl": small.as_uri(), "bucket": "bucket", "key": "a/!{timestamp:yyyy}/small",
        "userMetadata": {"Kind": "window", "x-y": "1"}}
    assert (first.status_context.export_identifier, first.status_context.stream_name) == ("up", "tasks")
    state = exported(client, "tasks")
    assert (state.last_exported_sequence_number, state.exported_messages_count, state.error_message) == (2, 3, None)


def test_tasks_that_cannot_be_done_fail_and_the_next_goes_on(served: StreamManager, tmp_path: Path) -> None:
    client = served.start(create=False)
    create(client, StatusLevel.ERROR)
    there = tmp_path / "there"
    there.write_bytes(b"x")
    task(client, tmp_path / "missing", "k")
    task(client, there, "k", bucket="no-such-bucket")
    task(client, tmp_path, "k")
    task(client, "https://example.com/file", "k")
    task(client, there, "!{timestamp:QQQ}")
    task(client, there, "k", **{"$aws-gg-x": "1"})
    client.append_message("tasks", b"\xff no task")
    client.append_message("tasks", json.dumps({"bucket": "B", "key": "k", "inputUrl": "file:///x"}).encode())
    assert until(lambda: ended(client, 7)).status is Status.Failure
    texts = [status.message for status in statuses(client)]
    expected = ("No such file", "NoSuchBucket", "no file", "no file: URL", "pattern letters QQQ", "reserved",
                "no S3ExportTaskDefinition", "no S3ExportTaskDefinition")
    assert len(texts) == len(expected), texts
    for text, part in zip(texts, expected, strict=True):
        assert part in text
    assert {status.status for status in statuses(client)} == {Status.Failure}, "nothing below its level"
    state = exported(client, "tasks")
    assert (state.last_exported_sequence_number, state.exported_messages_count) == (7, 0)


def test_a_task_waits_for_the_endpoint_over_a_kill(
    served: StreamManager, aws: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    endpoint, served.endpoint = served.endpoint, "http://127.0.0.1:1"
    client = served.start()
    create(client)
    task(client, tmp_path / "file", "late")
    assert exported(client, "tasks").last_exported_sequence_number == -1
    served.kill()
    served.endpoint = endpoint
    again = served.start()
    assert until(lambda: ended(again, 0)).status is Status.Success
    assert aws("s3").get_object(Bucket="bucket", Key="late")["Body"].read() == b"kept"
    served.kill()
    third = served.start()
    assert exported(third, "tasks").last_exported_sequence_number == 0
    task(third, tmp_path / "file", "later")
    until(lambda: ended(third, 1))
    assert [status.status_context.sequence_number for status in statuses(third)
            if status.status is Status.Success] == [0, 1]


def test_tasks_that_are_deleted_are_canceled(stream_manager: StreamManager, tmp_path: Path) -> None:
    client = stream_manager.start()
    create(client, None, max_size=1024, stream_segment_size=1024)
    for number in range(8):
        task(client, tmp_path / "missing", f"k{number}")
    oldest = client.describe_message_stream("tasks").storage_status.oldest_sequence_number
    assert oldest > 0
    client.delete_message_stream("tasks")
    said = until(lambda: len(found := statuses(client)) == 8 and found)
    assert {status.status for status in said} == {Status.Canceled}
    assert sorted(status.status_context.sequence_number for status in said) == list(range(8))


def test_an_export_can_be_paused_changed_and_taken_away(
    served: StreamManager, aws: Callable[[str], Any], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    client = served.start()
    create(client)
    definition = client.describe_message_stream("tasks").definition
    export = definition.export_definition.s3_task_executor[0]
    export.disabled = True
    client.update_message_stream(definition)
    task(client, tmp_path / "file", "first")
    other = S3ExportTaskExecutorConfig(identifier="other", status_config=export.status_config)
    definition.export_definition.s3_task_executor.append(other)
    client.update_message_stream(definition)
    until(lambda: ended(client, 0))
    assert {status.status_context.export_identifier for status in statuses(client)} == {"other"}
    export.disabled = False
    client.update_message_stream(definition)
    until(lambda: exported(client, "tasks").last_exported_sequence_number == 0)
    export.disabled, other.disabled = True, True
    client.update_message_stream(definition)
    task(client, tmp_path / "file", "second")
    export.disabled, other.disabled = False, True
    definition.export_definition.s3_task_executor = [export]
    client.update_message_stream(definition)
    until(lambda: exported(client, "tasks").last_exported_sequence_number == 1)
    canceled = [status for status in statuses(client) if status.status is Status.Canceled]
    assert [(one.status_context.export_identifier, one.status_context.sequence_number) for one in canceled] == [
        ("other", 1)]
    assert {one["Key"] for one in aws("s3").list_objects_v2(Bucket="bucket")["Contents"]} >= {"first", "second"}


def test_destinations_that_are_not_there_say_so(served: StreamManager) -> None:
    client = served.start()
    analytics = IoTAnalyticsConfig(identifier="a", iot_channel="c")
    client.create_message_stream(MessageStreamDefinition(
        name="s", strategy_on_full=OVERWRITE, export_definition=ExportDefinition(iot_analytics=[analytics])))
    client.append_message("s", b"x")
    state = until(lambda: (one := exported(client, "s")).error_message and one)
    assert state.error_message == "AccessDeniedException: the local core exports to S3 and Kinesis only"
    assert state.last_exported_sequence_number == -1


def test_keys_carry_the_time_of_upload() -> None:
    now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert resolve_key("p/!{timestamp:YYYY}".replace("Y", "y"), now) == "p/2026"
    assert resolve_key("p/!{timestamp:yy/M/d}/!{timestamp:HH/mm/ss}/D!{timestamp:DDD}", now) == "p/26/3/4/05/06/07/D063"
    for wrong in ("!{timestamp:MMM}", "!{date:yyyy}", "!{timestamp:zzz}"):
        with pytest.raises(TaskError):
            resolve_key(wrong, now)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_file_that_components_cannot_read_does_not_go_up(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with open_input(str(secret), None) as descriptor:
        assert os.read(descriptor, 9) == b"x"
    with pytest.raises(PermissionError), open_input(str(secret), (65534, 65534)):
        pass
    assert secret.read_text() == "x", "the thread has its rights again"


def test_the_highest_priority_goes_first() -> None:
    done: list[int] = []

    async def run() -> None:
        pool = Pool(1)
        first = asyncio.create_task(pool.run(10, lambda: done.append(0)))
        await asyncio.sleep(0)
        given_up = asyncio.create_task(pool.run(1, lambda: done.append(99)))
        rest = [asyncio.create_task(pool.run(rank, lambda rank=rank: done.append(rank))) for rank in (7, 3, 10, 1)]
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(first, *rest)
        assert await pool.run(5, lambda: "free again") == "free again"
        pool.close()

    asyncio.run(run())
    assert done == [0, 1, 3, 7, 10]
