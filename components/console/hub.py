"""News to open pages, as Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

WAITING: Final = 256
"""Events kept for a page that does not read; beyond it is told to load anew."""
GATHER: Final = 0.05
"""s for which news are gathered, so that each page is sent them at once."""
PATIENCE: Final = 1.0
"""s after which news that a loop should have sent are given to another: it may have ended with its server."""
BEAT: Final = 15.0
"""s between two comments that keep the connection open."""


class _Page:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(WAITING)

    def put(self, event: bytes) -> None:
        if self.queue.full():
            while not self.queue.empty():
                self.queue.get_nowait()
            event = encode("reload", {})
        self.queue.put_nowait(event)


class Hub:
    """`tell` is safe on any thread and waits for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: set[_Page] = set()
        self._news: list[bytes] = []
        self._sent_by = 0.0

    @property
    def pages(self) -> int:
        return len(self._pages)

    def tell(self, kind: str, document: Any) -> None:
        if not self._pages:
            return
        event = encode(kind, document)
        with self._lock:
            if not self._pages:
                return
            self._news.append(event)
            now = time.monotonic()
            if now < self._sent_by:
                return
            self._sent_by = now + PATIENCE
            loop = next(iter(self._pages)).loop
        try:
            loop.call_soon_threadsafe(loop.call_later, GATHER, self._send)
        except RuntimeError:
            self._send()

    def _send(self) -> None:
        with self._lock:
            pages, news = list(self._pages), b"".join(self._news)
            self._news.clear()
            self._sent_by = 0.0
        if not news:
            return
        for page in pages:
            try:
                page.loop.call_soon_threadsafe(page.put, news)
            except RuntimeError:
                self._leave(page)

    async def listen(self) -> AsyncIterator[bytes]:
        page = _Page(asyncio.get_running_loop())
        with self._lock:
            self._pages.add(page)
        try:
            yield b"retry: 2000\n\n"
            while True:
                try:
                    yield await asyncio.wait_for(page.queue.get(), BEAT)
                except TimeoutError:
                    yield b": beat\n\n"
        finally:
            self._leave(page)

    def _leave(self, page: _Page) -> None:
        with self._lock:
            self._pages.discard(page)


def encode(kind: str, document: Any) -> bytes:
    r"""
    >>> encode("part", {"camera": "c"})
    b'event: part\ndata: {"camera":"c"}\n\n'
    """
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(document) + b"\n\n"
