"""What many open pages cost is paid once: news in one piece, one answer for all who ask at the same time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from console.hub import Hub
from console.shared import KEPT, Shared


def test_news_of_a_moment_come_in_one_piece_and_in_order() -> None:
    async def heard() -> list[bytes]:
        hub = Hub()
        hub.tell("part", {"n": -1})
        pages = [hub.listen() for _ in range(3)]
        for page in pages:
            assert await anext(page) == b"retry: 2000\n\n"
        thread = threading.Thread(target=lambda: [hub.tell("part", {"n": n}) for n in range(4)])
        thread.start()
        thread.join()
        found = [await asyncio.wait_for(anext(page), 60) for page in pages]
        hub.tell("alarm", {"id": "a"})
        later = [await asyncio.wait_for(anext(page), 60) for page in pages]
        assert later == [b'event: alarm\ndata: {"id":"a"}\n\n'] * 3
        for page in pages:
            await page.aclose()  # type: ignore[attr-defined]
        assert hub.pages == 0
        return found

    one = b"".join(b'event: part\ndata: {"n":%d}\n\n' % n for n in range(4))
    assert asyncio.run(heard()) == [one] * 3


def test_news_reach_the_pages_of_a_server_that_came_after_another() -> None:
    """The loop that was to send had ended."""
    hub = Hub()

    async def left_open() -> Any:
        page = hub.listen()
        await anext(page)
        hub.tell("part", {"n": 1})
        return page

    kept = asyncio.run(left_open())

    async def next_server() -> bytes:
        page = hub.listen()
        await anext(page)
        heard = asyncio.ensure_future(anext(page))
        end = time.monotonic() + 60
        while not heard.done() and time.monotonic() < end:
            hub.tell("part", {"n": 2})
            await asyncio.sleep(0.1)
        return await asyncio.wait_for(heard, 1)

    assert b'"n":2' in asyncio.run(next_server())
    del kept


def test_what_a_chart_needed_for_a_moment_is_given_back() -> None:
    """Eight threads that take and leave blocks of up to 4 MB, each of another size, among small ones that stay."""
    code = """
import random, threading
from console.memory import frugal
def mapped():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
assert frugal()
before = mapped()
def work(seed):
    dice, kept = random.Random(seed), []
    for _ in range(60):
        block = bytearray(dice.randrange(200_000, 4_000_000))
        block[::4096] = b"x" * len(block[::4096])
        kept.append(bytes(64))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(mapped() - before)
"""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert float(done.stdout) < 10


def test_an_answer_is_made_once_for_all_who_ask() -> None:
    shared, made, gate = Shared(), [], threading.Event()

    def make() -> Any:
        gate.wait(60)
        made.append(1)
        return {"n": len(made)}

    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(shared.answer("a", 1, make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert found == [b'{"n":1}'] * 8
    assert shared.answer("a", 2, make) == b'{"n":2}', "another moment, another answer"
    assert shared.answer("b", 2, make) == b'{"n":3}'


def test_what_failed_is_made_again_and_few_are_kept() -> None:
    shared = Shared()

    def fails() -> Any:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            shared.answer("a", 1, fails)
    assert shared.answer("a", 1, lambda: 1) == b"1"
    for number in range(10 * KEPT):
        shared.answer(number, 1, lambda: [])
    assert len(shared._made) == KEPT
    assert not shared._making
