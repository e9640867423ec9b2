"""The control connection: both directions, errors, dead and live sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.control import BlockingClient, ControlError, ControlServer, Peer, connect


async def echo(peer: Peer, params: dict[str, Any]) -> Any:
    return params


async def refuse(peer: Peer, params: dict[str, Any]) -> Any:
    raise EdgeloopError("cannot do that", where="field a", why="it is red", mend="paint it")


async def break_down(peer: Peer, params: dict[str, Any]) -> Any:
    raise KeyError("a")


HANDLERS = {"echo": echo, "refuse": refuse, "break": break_down}


def within(path: Path, body: Callable[[ControlServer], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        server = ControlServer(path / "c.sock", HANDLERS, **options)
        await server.start()
        try:
            await body(server)
        finally:
            await server.close()

    asyncio.run(main())


def test_calls_answers_and_errors(tmp_path: Path) -> None:
    async def body(server: ControlServer) -> None:
        peer = await connect(server.path)
        answers = await asyncio.gather(*(peer.call("echo", {"n": n, "text": "ä\n"}) for n in range(20)))
        assert answers == [{"n": n, "text": "ä\n"} for n in range(20)]
        with pytest.raises(ControlError, match=r"cannot do that \(field a\): it is red; paint it"):
            await peer.call("refuse")
        with pytest.raises(ControlError, match="KeyError") as broken:
            await peer.call("break")
        assert broken.value.code == "internal"
        with pytest.raises(ControlError) as unknown:
            await peer.call("nothing")
        assert unknown.value.code == "unknown_method"
        await peer.close()
        with pytest.raises(ControlError) as closed:
            await peer.call("echo")
        assert closed.value.code == "closed"

    within(tmp_path, body)


def test_events_arrive_in_order_and_the_server_can_call_back(tmp_path: Path) -> None:
    seen: list[int] = []
    done = asyncio.Event()

    def on_event(peer: Peer, name: str, params: dict[str, Any]) -> None:
        seen.append(params["n"])
        if name == "last":
            done.set()

    async def body(server: ControlServer) -> None:
        peer = await connect(server.path, {"double": double}, on_event)
        await peer.call("echo")
        for n in range(100):
            server.broadcast("tick", {"n": n})
        server.broadcast("last", {"n": 100})
        await asyncio.wait_for(done.wait(), 5)
        assert seen == list(range(101))
        (at_server,) = server.peers
        assert await at_server.call("double", {"n": 21}) == 42
        await peer.close()

    async def double(peer: Peer, params: dict[str, Any]) -> Any:
        return 2 * params["n"]

    within(tmp_path, body)


@pytest.mark.parametrize(
    "garbage", [b"\xff\xfe\n", b"[]\n", b"[" * 100_000 + b"\n", b"{}\n", b'{"id":1}\n', b"x" * 9_000_000]
)
def test_garbage_ends_that_connection_only(tmp_path: Path, garbage: bytes) -> None:
    async def body(server: ControlServer) -> None:
        _, writer = await asyncio.open_unix_connection(str(server.path))
        writer.write(garbage)
        peer = await connect(server.path)
        assert await peer.call("echo", {"a": 1}) == {"a": 1}
        await peer.close()
        writer.close()

    within(tmp_path, body)


def test_a_pending_call_fails_when_the_other_side_dies(tmp_path: Path) -> None:
    async def body(server: ControlServer) -> None:
        async def never(peer: Peer, params: dict[str, Any]) -> Any:
            await asyncio.Event().wait()

        peer = await connect(server.path, {"never": never})
        await peer.call("echo")
        (at_server,) = server.peers
        call = asyncio.create_task(at_server.call("never"))
        await asyncio.sleep(0)
        await peer.close()
        with pytest.raises(ControlError) as lost:
            await call
        assert lost.value.code == "closed"

    within(tmp_path, body)


def test_a_dead_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "c.sock"))
    dead.close()

    async def body(server: ControlServer) -> None:
        assert server.path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(ControlError) as refused:
            await ControlServer(server.path, {}).start()
        assert refused.value.code == "in_use"

    within(tmp_path, body)
    assert not (tmp_path / "c.sock").exists()


def test_a_long_path_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="107.*shorter --root"):
        asyncio.run(ControlServer(tmp_path / ("d" * 120), {}).start())


def test_the_blocking_client(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    client = BlockingClient(path)
    with pytest.raises(ControlError) as nobody:
        client.call("echo")
    assert nobody.value.code == "closed"

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def slow(peer: Peer, params: dict[str, Any]) -> Any:
        await asyncio.Event().wait()

    try:
        server = ControlServer(path, {**HANDLERS, "slow": slow})
        run(server.start())
        assert client.call("echo", {"big": "x" * 300_000}) == {"big": "x" * 300_000}
        loop.call_soon_threadsafe(server.broadcast, "noise", {})
        assert client.call("echo", {"n": 1}) == {"n": 1}
        with pytest.raises(ControlError, match="paint it"):
            client.call("refuse")
        with pytest.raises(ControlError) as late:
            client.call("slow", timeout=0.1)
        assert late.value.code == "timeout"
        assert client.call("echo", {"n": 2}) == {"n": 2}
        run(server.close())
        with pytest.raises(ControlError):
            client.call("echo")
        server = ControlServer(path, HANDLERS)
        run(server.start())
        assert client.call("echo", {"n": 3}) == {"n": 3}
        client.close()
        run(server.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
