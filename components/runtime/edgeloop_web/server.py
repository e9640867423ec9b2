"""Serving an application on a thread of its own."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from edgeloop.errors import EdgeloopError

_STOP = 5.0


class WebServer:
    """`start` returns once the address is taken, so that `port` is known. Raises EdgeloopError where it cannot be."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, tls: tuple[Path, Path] | None = None, *, limit: int = 200
    ) -> None:
        self._host, self._tls = host, tls
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        configuration = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, date_header=True, lifespan="off", ws="none",
            loop="asyncio", http="h11", limit_concurrency=limit, timeout_keep_alive=20, timeout_graceful_shutdown=1,
            ssl_certfile=str(tls[0]) if tls else None, ssl_keyfile=str(tls[1]) if tls else None,
        )  # fmt: skip
        for name in ("uvicorn", "uvicorn.error"):
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            configuration.load()
        except (OSError, ssl.SSLError) as error:
            self._socket.close()
            raise EdgeloopError("cannot use the certificate", where=str(tls), why=str(error)) from error
        self._server = uvicorn.Server(configuration)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}/"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise EdgeloopError(
            "cannot listen", where=f"{host}:{port}", why=error.strerror or str(error), mend="choose another port"
        ) from error
    listener.setblocking(False)
    return listener
