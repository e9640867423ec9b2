"""A process that dies loses nothing that it acknowledged."""

from __future__ import annotations

import random
import threading
import time

import pytest
from stream_manager import (
    MessageStreamDefinition,
    Persistence,
    ResourceNotFoundException,
    StrategyOnFull,
    StreamManagerClient,
)

from .conftest import StreamManager, messages


@pytest.mark.parametrize("flush", [False, True])
def test_kills_in_the_middle_of_appends(stream_manager: StreamManager, flush: bool) -> None:
    chance = random.Random(flush)
    acknowledged: dict[int, bytes] = {}

    def append(client: StreamManagerClient) -> None:
        while True:
            payload = chance.randbytes(chance.randrange(1, 3000))
            try:
                number = client.append_message("s", payload)
            except ConnectionError:
                return
            assert number not in acknowledged
            acknowledged[number] = payload

    client = stream_manager.start()
    client.create_message_stream(MessageStreamDefinition(name="s", strategy_on_full=StrategyOnFull.RejectNewData,
                                                         stream_segment_size=16384, flush_on_write=flush))
    for _ in range(3):
        client.request_timeout = 0.5
        appending = threading.Thread(target=lambda given=client: _ignoring_timeouts(append, given))
        appending.start()
        time.sleep(chance.uniform(0.1, 0.4))
        stream_manager.kill()
        appending.join(60)
        client = stream_manager.start()
        found = {message.sequence_number: message.payload for message in messages(client, "s")}
        assert {number: found.get(number) for number in acknowledged} == acknowledged
        assert sorted(found) == list(range(len(found)))
        assert len(found) - len(acknowledged) <= 4, "only what was on its way may be there too"
    assert len(acknowledged) > 20
    assert "Traceback" not in stream_manager.log.read_text()


def _ignoring_timeouts(append: object, client: StreamManagerClient) -> None:
    try:
        append(client)  # type: ignore[operator]
    except TimeoutError:
        return


def test_streams_in_memory_are_gone_and_the_others_stay(stream_manager: StreamManager) -> None:
    client = stream_manager.start()
    for name, persistence in (("memory", Persistence.Memory), ("file", Persistence.File)):
        client.create_message_stream(MessageStreamDefinition(
            name=name, strategy_on_full=StrategyOnFull.RejectNewData, persistence=persistence))
        assert client.append_message(name, b"x") == 0
    assert not [path for path in (stream_manager.store / "streams").rglob("*.log")
                if b"memory" in (path.parent / "definition.json").read_bytes()]
    client.delete_message_stream("file")
    client.create_message_stream(MessageStreamDefinition(name="file", strategy_on_full=StrategyOnFull.RejectNewData))
    assert client.append_message("file", b"y") == 0
    stream_manager.kill()
    again = stream_manager.start()
    assert again.list_streams() == ["file"]
    assert [message.payload for message in messages(again, "file")] == [b"y"]
    with pytest.raises(ResourceNotFoundException):
        again.append_message("memory", b"x")


def test_one_damaged_stream_does_not_stop_the_others(stream_manager: StreamManager) -> None:
    client = stream_manager.start()
    for name in ("a", "b"):
        client.create_message_stream(MessageStreamDefinition(
            name=name, strategy_on_full=StrategyOnFull.RejectNewData))
    assert stream_manager.stop() == 0
    damaged = next(path for path in (stream_manager.store / "streams").rglob("definition.json")
                   if b'"a"' in path.read_bytes())
    damaged.write_text("{")
    assert stream_manager.start().list_streams() == ["b"]
    assert "a stream cannot be opened and stays aside" in stream_manager.log.read_text()
