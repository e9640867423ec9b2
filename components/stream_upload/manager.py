"""Stream Manager through its SDK: one connection, made again with back-off, and errors of one kind."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from edgeloop import optional
from edgeloop.durable import BackOff
from edgeloop.errors import EdgeloopError

PORT: Final = 8088
SHORTEST: Final = 1.0
LONGEST: Final = 60.0
_REQUEST: Final = 10
_PURPOSE: Final = "uploading"
_STATUSES: Final = 500


class Unavailable(EdgeloopError):
    """Stream Manager is not there, or does not answer."""


class Refused(EdgeloopError):
    """Stream Manager answers that it will not; a full stream, an invalid definition."""


@dataclass(frozen=True, slots=True)
class Export:
    """Where a stream stands. newest: sequence number of the last message, -1 without any; exported: of the last one
    that left the device, -1 without any; error: why the next ones do not, where that is so."""

    newest: int
    exported: int
    error: str


def connect() -> Any:
    """A client of the SDK. Its threads end where it fails to connect."""
    port = int(os.environ.get("STREAM_MANAGER_SERVER_PORT") or PORT)
    with socket.create_connection(("127.0.0.1", port), timeout=3):
        pass
    sdk = optional.load("stream_manager", _PURPOSE)
    quiet = logging.getLogger("edgeloop.stream_manager")
    quiet.setLevel(logging.CRITICAL + 1)
    client = sdk.StreamManagerClient.__new__(sdk.StreamManagerClient)
    try:
        client.__init__(port=port, connect_timeout=3, request_timeout=_REQUEST, logger=quiet)
    except BaseException:
        client.close()
        raise
    return client


class Manager:
    """`connected` connects where that is due. Calls raise Unavailable, which ends the connection, or Refused."""

    def __init__(self, make: Callable[[], Any] = connect) -> None:
        self._make = make
        self._client: Any = None
        self._pause = BackOff(SHORTEST, LONGEST)
        self.connections = 0

    @property
    def connected(self) -> bool:
        """Raises Unavailable where an attempt fails; False between two attempts."""
        if self._client is not None:
            return True
        if not self._pause.due:
            return False
        try:
            self._client = self._make()
        except EdgeloopError:
            self._pause.failed()
            raise
        except Exception as error:
            self._pause.failed()
            why = _line(error)
            mend = "deploy aws.greengrass.StreamManager"
            raise Unavailable("Stream Manager is not there", why=why, mend=mend) from error
        self.connections += 1
        return True

    def define(self, definition: Any) -> None:
        """Makes a stream, or changes it to the definition."""
        sdk = optional.load("stream_manager", _PURPOSE)
        try:
            known = self._call(lambda client: client.describe_message_stream(definition.name), "looking at a stream")
        except _NotFound:
            self._call(lambda client: client.create_message_stream(definition), f"making stream {definition.name}")
            return
        if _exports(known.definition) != _exports(definition):
            if known.definition.export_definition is None and definition.export_definition is None:
                return
            changed = sdk.MessageStreamDefinition(**_fields(known.definition))
            changed.export_definition = definition.export_definition
            self._call(lambda client: client.update_message_stream(changed), f"changing stream {definition.name}")

    def append(self, stream: str, data: bytes) -> int:
        """The sequence number of the message."""
        return int(self._call(lambda client: client.append_message(stream, data), f"appending to {stream}"))

    def messages(self, stream: str, start: int) -> list[tuple[int, bytes]]:
        """Up to 500 messages from a sequence number on, with theirs; none where there are none."""
        sdk = optional.load("stream_manager", _PURPOSE)
        options = sdk.ReadMessagesOptions(
            desired_start_sequence_number=start, min_message_count=1, max_message_count=_STATUSES
        )
        try:
            found = self._call(lambda client: client.read_messages(stream, options), f"reading {stream}")
        except _NotEnough:
            return []
        return [(message.sequence_number, message.payload) for message in found]

    def export(self, stream: str) -> Export:
        found = self._call(lambda client: client.describe_message_stream(stream), f"looking at {stream}")
        storage, exports = found.storage_status, found.export_statuses or []
        newest = storage.newest_sequence_number
        exported = exports[0].last_exported_sequence_number if exports else None
        if exported == 0 and not exports[0].exported_messages_count:
            exported = None
        return Export(
            -1 if newest is None else int(newest),
            -1 if exported is None else int(exported),
            (exports[0].error_message or "") if exports else "",
        )

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            client.close()
        except Exception as error:
            logging.getLogger(__name__).debug("closing: %s", error)

    def _call(self, call: Callable[[Any], Any], what: str) -> Any:
        if self._client is None:
            raise Unavailable(f"{what} failed", why="no connection to Stream Manager")
        sdk = optional.load("stream_manager", _PURPOSE)
        try:
            result = call(self._client)
        except sdk.ResourceNotFoundException as error:
            raise _NotFound(f"{what} failed", why=_line(error)) from error
        except sdk.NotEnoughMessagesException as error:
            raise _NotEnough(f"{what} failed", why=_line(error)) from error
        except (sdk.ClientException, sdk.UnauthorizedException, sdk.ServerTimeoutException) as error:
            raise self._lost(error, what) from error
        except sdk.StreamManagerException as error:
            raise Refused(f"{what} failed", why=_line(error)) from error
        except Exception as error:
            raise self._lost(error, what) from error
        self._pause.succeeded()
        return result

    def _lost(self, error: Exception, what: str) -> Unavailable:
        self.close()
        self._pause.failed()
        return Unavailable(f"{what} failed", why=_line(error), mend="it is tried again")


class _NotFound(Refused):
    pass


class _NotEnough(Refused):
    pass


_FIELDS: Final = (
    "name", "max_size", "stream_segment_size", "time_to_live_millis", "strategy_on_full", "persistence",
    "flush_on_write", "export_definition",
)  # fmt: skip


def _fields(definition: Any) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in _FIELDS}


def _exports(definition: Any) -> Any:
    exports = definition.export_definition
    return _present(exports.as_dict()) if exports is not None else {}


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _present(v) for k, v in value.items() if v not in (None, [], {})}
    return [_present(v) for v in value] if isinstance(value, list) else value


def _line(error: Exception) -> str:
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
