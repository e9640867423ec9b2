"""The control connection of a program without an event loop."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeloop_tools.core.control import lines
from edgeloop_tools.core.control.errors import ControlError, from_wire
from edgeloop_tools.core.control.peer import not_listening


class BlockingClient:
    """One request at a time; safe to share between threads; connects on first use and again after a loss."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._rest = b""

    def call(self, method: str, params: Mapping[str, Any] | None = None, timeout: float = 10.0) -> Any:
        """The core's result. Raises ControlError (codes `closed`, `timeout`, or the core's)."""
        number = next(self._ids)
        message = lines.encode({"id": number, "method": method, "params": dict(params or {})})
        with self._lock:
            deadline = time.monotonic() + timeout
            answer: dict[str, Any] = {}
            try:
                connection = self._connected()
                connection.settimeout(timeout)
                connection.sendall(message)
                while True:
                    answer = lines.decode(self._line(connection, deadline))
                    if answer.get("id") == number and "method" not in answer:
                        break
            except TimeoutError:
                raise ControlError(f"no answer to {method}", why=f"waited {timeout:g} s", code="timeout") from None
            except OSError as error:
                raise not_listening(self._path, error) from None
            finally:
                if answer.get("id") != number:
                    self._drop()
        if "error" in answer:
            raise from_wire(answer["error"])
        return answer.get("result")

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(self._path))
            except OSError:
                connection.close()
                raise
            self._socket, self._rest = connection, b""
        return self._socket

    def _line(self, connection: socket.socket, deadline: float) -> bytes:
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            connection.settimeout(remaining)
            part = connection.recv(1 << 16)
            if not part:
                raise ConnectionResetError("the core closed the connection")
            parts.append(part)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _drop(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None
