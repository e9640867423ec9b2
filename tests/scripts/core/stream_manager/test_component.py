"""Stream Manager as a component of the core, in both modes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import boto3
import pytest
from stream_manager import (
    ConnectFailedException,
    ExportDefinition,
    KinesisConfig,
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

from .conftest import ended, exported, listens, statuses, until

NAME = "aws.greengrass.StreamManager"
TOKEN_EXCHANGE = "aws.greengrass.TokenExchangeService"
OVERWRITE = StrategyOnFull.OverwriteOldestData
CLIENT = 'echo "token=$AWS_CONTAINER_AUTHORIZATION_TOKEN port=$STREAM_MANAGER_SERVER_PORT ."; exec sleep 1000'


def known(folder: Any, name: str = "t.A") -> tuple[str, int]:
    """What a component learns of Stream Manager."""
    words = folder.said(name, " .").split()
    return words[0].removeprefix("token="), int(words[1].removeprefix("port="))


def connect(monkeypatch: pytest.MonkeyPatch, token: str, port: int) -> StreamManagerClient:
    until(lambda: listens(port))
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", token)
    return StreamManagerClient(port=port)


def create(client: StreamManagerClient) -> None:
    status = StatusConfig(status_level=StatusLevel.TRACE, status_stream_name="status")
    export = ExportDefinition(
        s3_task_executor=[S3ExportTaskExecutorConfig(identifier="up", status_config=status)])
    client.create_message_stream(MessageStreamDefinition(name="status", strategy_on_full=OVERWRITE))
    client.create_message_stream(MessageStreamDefinition(
        name="tasks", strategy_on_full=OVERWRITE, export_definition=export))
    export = ExportDefinition(kinesis=[KinesisConfig(identifier="k", kinesis_stream_name="results")])
    client.create_message_stream(MessageStreamDefinition(
        name="results", strategy_on_full=OVERWRITE, export_definition=export))


def upload(client: StreamManagerClient, path: Path, key: str) -> int:
    definition = S3ExportTaskDefinition(input_url=path.as_uri(), bucket="bucket", key=key)
    number: int = client.append_message("tasks", Util.validate_and_serialize_to_json_bytes(definition))
    return number


def test_it_serves_components_and_survives_faults(
    folder: Any, nucleus: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.component("t.A", f"umask 077; echo data > file; {CLIENT}", hard=(TOKEN_EXCHANGE,))
    core = folder.start(nucleus, bus=True)
    folder.deploy(core, "t.A", components={NAME: ">=2.0.0 <3.0.0"})
    token, port = known(folder)
    assert port == core.status()["stream_manager_port"]
    client = connect(monkeypatch, token, port)
    create(client)
    session: Any = boto3.Session("key", "secret", region_name="us-east-1")
    s3 = session.client("s3", endpoint_url=core.status()["endpoint"])
    path = folder.root / "work" / "t.A" / "file"
    assert until(lambda: path.exists() and upload(client, path, "first") == 0)
    assert until(lambda: ended(client, 0)).status is Status.Success
    assert s3.get_object(Bucket="bucket", Key="first")["Body"].read() == b"data\n"

    core.fault("s3_refuse", times=1)
    core.fault("s3_refuse", on=False)
    core.fault("s3_refuse", times=1)
    upload(client, path, "refused")
    failed = until(lambda: ended(client, 1))
    assert (failed.status, failed.message) == (Status.Failure, "AccessDenied: injected")
    core.fault("s3_refuse", code="SlowDown")
    core.fault("kinesis_throttle", share=0.5, times=2)
    upload(client, path, "slow")
    for number in range(20):
        client.append_message("results", b"%d" % number)
    until(lambda: [one for one in statuses(client) if one.status is Status.Warning])
    assert ended(client, 2) is None
    assert "SlowDown" in exported(client, "tasks").error_message

    pid = core.component(NAME).pid
    core.fault("kill_stream_manager")
    until(lambda: core.component(NAME).pid not in (None, pid) and listens(port))
    assert core.component(NAME).restarts == 1
    again = connect(monkeypatch, token, port)
    assert ended(again, 2) is None, "a fault stays in force"
    core.fault("s3_refuse", on=False)
    assert until(lambda: ended(again, 2)).status is Status.Success
    assert s3.get_object(Bucket="bucket", Key="first")["Body"].read() == b"data\n", "what was stored outlives it"
    until(lambda: exported(again, "results").last_exported_sequence_number == 19)

    core.fault("kinesis_throttle")
    core.fault("network", offline=True)
    again.append_message("results", b"offline")
    until(lambda: exported(again, "results").error_message)
    core.fault("network", offline=False)
    until(lambda: "ThroughputExceeded" in (exported(again, "results").error_message or ""))
    core.fault("kinesis_throttle", on=False)
    until(lambda: exported(again, "results").last_exported_sequence_number == 20)
    assert "Traceback" not in folder.log(NAME)
    assert (folder.root / "work" / NAME / "streams").is_dir()


def test_only_components_may_connect(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.component("t.A", CLIENT)
    core = folder.start(bus=True)
    folder.deploy(core, "t.A", components={NAME: "2.1.13"})
    token, port = known(folder)
    assert connect(monkeypatch, token, port).list_streams() == []
    for wrong in ("", "x", token[:-1]):
        with pytest.raises(ConnectFailedException):
            connect(monkeypatch, wrong, port)
    assert token not in folder.log(NAME)
    folder.deploy(core, merge={NAME: {"STREAM_MANAGER_AUTHENTICATE_CLIENT": "false"}}, components={NAME: "2.1.13"})
    monkeypatch.delenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    until(lambda: listens(port))
    assert StreamManagerClient(port=port).list_streams() == []
    folder.deploy(core, remove=[NAME])
    assert not listens(port)


def test_its_port_and_its_folder_can_be_configured(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    core = folder.start(bus=True)
    own = core.status()["stream_manager_port"]
    other = own + 1 if not listens(own + 1) else own + 2
    store = folder.path / "elsewhere"
    merge = {NAME: {"STREAM_MANAGER_SERVER_PORT": str(other), "STREAM_MANAGER_STORE_ROOT_DIR": str(store)}}
    folder.component("t.A", CLIENT)
    folder.deploy(core, "t.A", components={NAME: "2.1.13"}, merge=merge)
    token, port = known(folder)
    assert port == other
    client = connect(monkeypatch, token, port)
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=OVERWRITE))
    assert len(list((store / "streams").iterdir())) == 1


def test_what_it_cannot_start_with_is_the_reason_of_the_component(folder: Any) -> None:
    core = folder.start(bus=True)
    core.deploy({NAME: "2.1.13"}, merge={NAME: {"STREAM_MANAGER_SERVER_PORT": "many"}}, failure="DO_NOTHING")
    until(lambda: [one for one in core.components() if one.name == NAME])
    reason = core.wait_state(NAME, ["BROKEN"]).reason
    assert "error: STREAM_MANAGER_SERVER_PORT is out of range: 'many'; give a number up to 65535" in reason


def test_the_cores_endpoint_gives_way_to_another(
    folder: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGELOOP_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    folder.component("t.A", CLIENT)
    core = folder.start(bus=True)
    folder.deploy(core, "t.A", components={NAME: "2.1.13"})
    assert core.status()["endpoint"] == endpoint
    client = connect(monkeypatch, *known(folder))
    create(client)
    readable = folder.path / "file"
    readable.write_bytes(b"x")
    upload(client, readable, "k")
    assert "NoSuchBucket" in until(lambda: ended(client, 0)).message, "nothing is made at another endpoint"
    assert not os.path.exists(folder.root / "logs" / "endpoint.log")
