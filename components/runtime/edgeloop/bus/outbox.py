"""What is to be published: a bounded queue and the one thread that sends it, one message after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgeloop.bus.link import BusClosed, BusTimeout
from edgeloop.errors import BusError

ATTEMPTS: Final = 3
"""How often a message that got no answer is sent again (over a new connection) before it is given up."""


@dataclass(slots=True)
class _Message:
    topic: str
    payload: bytes
    attempts: int = 0


class Outbox:
    """`put` never blocks. A message stays first in the queue until the nucleus has taken it or refused it; over a
    broken connection it waits for the next one, so a message may arrive twice but none is overtaken."""

    def __init__(
        self,
        name: str,
        depth: int,
        send: Callable[[str, bytes], None],
        on_result: Callable[[str, BusError | None], None],
        on_broken: Callable[[int, BusError], None],
    ) -> None:
        self._depth, self._send, self._on_result, self._on_broken = depth, send, on_result, on_broken
        self._queue: deque[_Message] = deque()
        self._changed = threading.Condition()
        self._link = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-sender", daemon=True)
        self.sent = self.refused = self.full = 0

    def start(self) -> None:
        self._thread.start()

    def put(self, topic: str, payload: bytes) -> bool:
        """False, and counted, where the queue is full or closed."""
        with self._changed:
            if self._stopped or len(self._queue) >= self._depth:
                self.full += 1
                return False
            self._queue.append(_Message(topic, payload))
            self._changed.notify_all()
        return True

    def __len__(self) -> int:
        return len(self._queue)

    def connected(self, link: int) -> None:
        """The number of the connection to send over from now on; 0 for none."""
        with self._changed:
            self._link = link
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Whether all was sent in time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._queue and not self._stopped and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._queue

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and not (self._queue and self._link):
                    self._changed.wait()
                if self._stopped:
                    return
                message, link = self._queue[0], self._link
            message.attempts += 1
            error: BusError | None = None
            try:
                self._send(message.topic, message.payload)
            except BusError as failure:
                error = failure
            broken = isinstance(error, (BusClosed, BusTimeout))
            with self._changed:
                if broken and self._link == link:
                    self._link = 0
                done = not broken or (isinstance(error, BusTimeout) and message.attempts >= ATTEMPTS)
                if done:
                    self._queue.popleft()
                    self.sent += error is None
                    self.refused += error is not None
                    self._changed.notify_all()
            if broken and error is not None:
                self._on_broken(link, error)
            if done:
                self._on_result(message.topic, error)
