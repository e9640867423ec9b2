"""The connection to a broker: paho's protocol over a socket that is read and written in large pieces."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

PIECE = 1 << 16
LOOK = 0.5
"""s between two looks at the keep-alive."""
STALLED = 0.002
"""s without a message after which the broker may be waiting for what was not acknowledged yet."""
PROBED, PROBES = 0.03, 3
"""The same, in s, and how often, until it is known how many messages the broker sends without an acknowledgement."""
WINDOW = 8
"""Messages on their way from which on a broker may wait: the smallest window of the known ones is 10."""


class Buffered:
    """A socket of paho's: `recv` from one large read, `send` to one large write. For the thread of the loop alone."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._came, self._at = b"", 0
        self._going = bytearray()
        self.ended = False

    def recv(self, size: int) -> bytes:
        if self._at >= len(self._came):
            self._came, self._at = self._inner.recv(PIECE), 0
        piece = self._came[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def left(self) -> bool:
        """Whether there is more that was read already."""
        if self._at < len(self._came):
            return True
        pending = getattr(self._inner, "pending", None)
        return pending is not None and pending() > 0

    def send(self, data: Any) -> int:
        self._going += data
        return len(data)

    def flush(self) -> bool:
        """Whether all went out. Raises OSError."""
        while self._going:
            try:
                sent = self._inner.send(self._going)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                if type(error).__name__ in ("SSLWantWriteError", "SSLWantReadError"):
                    return False
                raise
            del self._going[:sent]
        return True

    def close(self) -> None:
        """What is to go out before a leave still does: acknowledgements, and the leave itself."""
        with contextlib.suppress(OSError, ValueError):
            self.flush()
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Link:
    """Runs a client in a thread of its own. stalled(): the broker may wait for acknowledgements. lost: paho's code.

    Callbacks of the client come on that thread; `acknowledge`, `publish` and `call` may be used from any.
    """

    def __init__(self, client: Any, name: str, stalled: Callable[[], None], lost: Any) -> None:
        self.client = client
        self._name, self._stalled, self._lost = name, stalled, lost
        self._acknowledged: deque[tuple[int, int]] = deque()
        self._calls: deque[Callable[[], object]] = deque()
        self._unacknowledged = self._most = self._probes = 0
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._thread: threading.Thread | None = None
        self._ending = False
        create = client._create_socket
        client._create_socket = lambda: Buffered(create())
        client.on_socket_register_write = lambda *_: self._nudge()

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def took(self) -> None:
        """A message came that has to be acknowledged; on the loop's thread."""
        self._unacknowledged += 1

    def acknowledge(self, messages: list[tuple[int, int]]) -> None:
        """messages: (mid, qos)."""
        self._acknowledged.extend(messages)
        self._nudge()

    def call(self, function: Callable[[], object]) -> None:
        """Does something with the client, on the loop's thread."""
        self._calls.append(function)
        self._nudge()

    def close(self) -> None:
        self.call(self.client.disconnect)
        self._ending = True
        self._nudge()
        if self._thread is not None:
            self._thread.join(2.0)
        else:
            self.client.disconnect()
        for end in (self._wake, self._woken):
            end.close()

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def _run(self) -> None:
        client = self.client
        looked = 0.0
        while (sock := client.socket()) is not None:
            try:
                whole = self._write(sock)
            except OSError:
                client._loop_rc_handle(self._lost)
                break
            wait = 0.0 if sock.left() else self._patience()
            try:
                readable, _, _ = select.select([sock, self._woken], [] if whole else [sock], [], wait)
            except (OSError, ValueError):
                client._loop_rc_handle(self._lost)
                break
            if self._woken in readable:
                with contextlib.suppress(OSError):
                    self._woken.recv(4096)
            if sock in readable or sock.left():
                client.loop_read()
                while client.socket() is sock and sock.left():
                    client.loop_read()
            elif 0 < wait < LOOK and not readable:
                self._probes += 1
                self._stalled()
            now = time.monotonic()
            if now - looked >= LOOK:
                looked = now
                client.loop_misc()
            if self._ending and not self._calls:
                with contextlib.suppress(OSError):
                    self._write(sock)
                break

    def _patience(self) -> float:
        """s without a message after which the broker seems to wait: as many are on their way as ever were. How many
        it sends at once is found by waiting longer, a few times."""
        if self._unacknowledged < max(WINDOW, self._most):
            return LOOK
        if self._unacknowledged > self._most:
            self._most, self._probes = self._unacknowledged, 0
        return STALLED if self._probes >= PROBES else PROBED

    def _write(self, sock: Buffered) -> bool:
        while self._acknowledged:
            mid, qos = self._acknowledged.popleft()
            self._unacknowledged -= 1
            self.client.ack(mid, qos)
        while self._calls:
            self._calls.popleft()()
        if self.client.want_write():
            self.client.loop_write()
        return sock.flush()
