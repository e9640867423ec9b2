"""The API's commands for programs of this device, without a password: a Unix socket that its user and group reach.

`alarm ack` and `status` use it where there is no other way to the bus. Requests are one JSON line each:
{"command": "acknowledge", "id": …, "reason": …}; answers are one JSON line: {"ok": …} or {"error": "…"}.
"""

from __future__ import annotations

import os
import pwd
import socket
import socketserver
import struct
import threading
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from console.commands import Commands, Label
from console.line import Line
from console.live import Live
from edgeloop import decode
from edgeloop.alarms import Reason
from edgeloop.errors import EdgeloopError

NAME: Final = "operator.sock"
LARGEST: Final = 64 << 10
_TIMEOUT: Final = 10.0
Id = Annotated[str, Meta(max_length=64)]


class Acknowledge(msgspec.Struct, tag_field="command", tag="acknowledge"):
    id: Id
    reason: Reason
    by: Id = ""


class Shelve(msgspec.Struct, tag_field="command", tag="shelve"):
    id: Id
    until: int
    by: Id = ""


class Unshelve(msgspec.Struct, tag_field="command", tag="unshelve"):
    id: Id
    by: Id = ""


class Wrong(msgspec.Struct, tag_field="command", tag="part wrong"):
    camera: Id
    part: Id
    label: Label
    by: Id = ""


class Teach(msgspec.Struct, tag_field="command", tag="teach"):
    camera: Id
    good: Annotated[int, Meta(ge=12, le=400)] = 30
    reject: Annotated[float, Meta(gt=0, le=0.2)] = 0.01
    template: bool = False
    by: Id = ""


class Alarms(msgspec.Struct, tag_field="command", tag="alarms"):
    pass


class Status(msgspec.Struct, tag_field="command", tag="status"):
    pass


REQUEST: Final[Any] = Acknowledge | Shelve | Unshelve | Wrong | Teach | Alarms | Status


class OperatorSocket:
    """Listens until closed; each caller is known by the user that the kernel names."""

    def __init__(self, path: Path, commands: Commands, live: Live, line: Line) -> None:
        self._path, self._commands, self._live, self._line = path, commands, live, line
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = _TIMEOUT

            def handle(self) -> None:
                owner._serve(self)

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        path.unlink(missing_ok=True)
        mask = os.umask(0o117)
        try:
            self._server = Server(str(path), Handler)
        except OSError as error:
            raise EdgeloopError("cannot make the socket", where=str(path), why=error.strerror or "") from error
        finally:
            os.umask(mask)
        self._thread = threading.Thread(target=self._server.serve_forever, name="operators", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        try:
            line = handler.rfile.readline(LARGEST + 1)
            answer = self._answer(line, _peer(handler.request))
        except OSError:
            return
        handler.wfile.write(msgspec.json.encode(answer) + b"\n")

    def _answer(self, line: bytes, peer: str) -> dict[str, Any]:
        if len(line) > LARGEST:
            return {"error": f"a request is at most {LARGEST} bytes"}
        try:
            request = decode.document(line, REQUEST, what="a request")
            return {"ok": msgspec.to_builtins(self._carried_out(request, peer))}
        except EdgeloopError as error:
            return {"error": str(error)}

    def _carried_out(self, request: Any, peer: str) -> Any:
        by = request.by or peer if hasattr(request, "by") else peer
        match request:
            case Acknowledge():
                return self._commands.acknowledge(request.id, request.reason, by)
            case Shelve():
                return self._commands.shelve_until(request.id, request.until, by)
            case Unshelve():
                return self._commands.unshelve(request.id, by)
            case Wrong():
                return self._commands.label(request.camera, request.part, request.label, [], by)
            case Teach():
                return self._commands.teach(request.camera, request.good, request.reject, request.template, by)
            case Alarms():
                return self._live.alarms()
            case _:
                return {"components": self._line.components(), "assets": self._line.assets()}


def _peer(connection: socket.socket) -> str:
    """The name of the user at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid = struct.unpack("3i", raw)[1]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
