"""One connection to the nucleus's IPC socket: the AWS SDK's client, its native threads, its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, Final, TypeVar

from awscrt.exceptions import AwsCrtError
from awscrt.io import ClientBootstrap, DefaultHostResolver, EventLoopGroup, SocketDomain, SocketOptions
from awsiot.eventstreamrpc import (
    AccessDeniedError,
    Connection,
    ConnectionClosedError,
    LifecycleHandler,
    MessageAmendment,
    StreamClosedError,
)
from awsiot.greengrasscoreipc import model
from awsiot.greengrasscoreipc.client import GreengrassCoreIPCClient
from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

from edgeloop.errors import BusError

T = TypeVar("T")

CALL_TIMEOUT: Final = 10.0
"""Seconds until an IPC call is given up: twice the time that one hung subscriber can stall nucleus lite."""

_LONGEST_SOCKET_PATH = 107
_ENDED = ("AWS_IO_SOCKET_CLOSED", "AWS_ERROR_EVENT_STREAM_RPC_CONNECTION_CLOSED", "AWS_IO_BROKEN_PIPE")


class BusClosed(BusError):
    """The connection is down or went down during the call."""


class BusTimeout(BusError):
    """The nucleus did not answer in time."""


class BusRefused(BusError):
    """The component's policy does not allow the call."""


class BusNotFound(BusError):
    """The nucleus does not have what was asked for."""


class TokenRefused(BusError):
    """The nucleus does not know this process's token (any more)."""


class Native:
    """The SDK's event loop thread, shared by all connections that one process makes one after the other."""

    def __init__(self) -> None:
        group = EventLoopGroup(num_threads=1)
        self.bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
        self.options = SocketOptions()
        self.options.domain = SocketDomain.Local


class _Lifecycle(LifecycleHandler):  # type: ignore[misc]
    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end

    def on_disconnect(self, reason: Exception | None) -> None:
        self._on_end(str(reason or "closed"))

    def on_error(self, error: Exception) -> bool:
        return True


class Link:
    """One connection. `on_end` is called once, on the SDK's thread, when an open connection ends."""

    def __init__(self, native: Native, socket: Path, token: str, on_end: Callable[[str], None]) -> None:
        self._socket, self._on_end = socket, on_end
        self._connection = Connection(
            host_name=str(socket),
            port=0,
            bootstrap=native.bootstrap,
            socket_options=native.options,
            connect_message_amender=MessageAmendment.create_static_authtoken_amender(token),
        )
        self._core = GreengrassCoreIPCClient(self._connection)
        self.client = GreengrassCoreIPCClientV2(client=self._core, executor=None)

    def publish(self, topic: str, message: Any, timeout: float) -> None:
        """Returns when the nucleus has answered. Nucleus lite leaves the end of the stream to its client, whose native
        side keeps an open one, message and all: 0.1 MB a second at 20 messages."""
        operation: Any = None

        def call() -> Future[Any]:
            nonlocal operation
            operation = self._core.new_publish_to_topic()
            operation.activate(model.PublishToTopicRequest(topic=topic, publish_message=message))
            response: Future[Any] = operation.get_response()
            return response

        try:
            answer(call, f"publishing to {topic}", timeout)
        finally:
            if operation is not None:
                operation.close().add_done_callback(_over)

    def open(self, timeout: float = CALL_TIMEOUT) -> None:
        """Raises TokenRefused, BusTimeout or BusClosed."""
        where = str(self._socket)
        try:
            self._connection.connect(_Lifecycle(self._on_end)).result(timeout)
        except FutureTimeout:
            self.close()
            why = f"no handshake in {timeout:g} s"
            raise BusTimeout("the nucleus does not answer", where=where, why=why) from None
        except AccessDeniedError:
            raise TokenRefused("the nucleus refuses this process's token", where=where) from None
        except AwsCrtError as error:
            if error.name in _ENDED:
                raise TokenRefused("the nucleus ended the handshake", where=where, why=error.name) from None
            raise _unreachable(self._socket, error.name) from None
        except RuntimeError as error:
            raise _unreachable(self._socket, str(error)) from None

    def close(self) -> Future[None]:
        """Ends the connection, an opening one too; the future is done when its native side is gone."""
        closed: Future[None] = self._connection.close()
        return closed


def _over(future: Future[None]) -> None:
    future.exception()


def _unreachable(socket: Path, reason: str) -> BusError:
    if len(str(socket).encode()) > _LONGEST_SOCKET_PATH:
        why, mend = f"a socket's path has at most {_LONGEST_SOCKET_PATH} bytes", "use a shorter root folder"
    elif not socket.exists():
        why, mend = "the socket does not exist", "is the nucleus running?"
    else:
        why, mend = _readable(reason), "is the nucleus running, and may this user open the socket?"
    return BusClosed("cannot connect to the nucleus", where=str(socket), why=why, mend=mend)


def _readable(reason: str) -> str:
    match = re.search(r"\((\w+)\): (.*?)\.?$", reason)
    return match[2] if match else reason


def answer(call: Callable[[], Future[T]], what: str, timeout: float = CALL_TIMEOUT) -> T:
    """The result of an SDK call, or a BusError: BusTimeout, BusClosed, BusRefused or the nucleus's own words."""
    try:
        return call().result(timeout)
    except FutureTimeout:
        raise BusTimeout(f"{what} got no answer", why=f"{timeout:g} s passed") from None
    except Exception as error:
        raise explained(error, what) from None


def explained(error: Exception, what: str) -> BusError:
    """The BusError for an exception of the SDK. Its native part raises plain RuntimeErrors where a connection ended."""
    if isinstance(error, BusError):
        return error
    if isinstance(error, model.UnauthorizedError):
        return BusRefused(f"{what} is not allowed", why=_message(error), mend="add it to the component's accessControl")
    if isinstance(error, model.ResourceNotFoundError):
        return BusNotFound(f"{what} failed", why=_message(error))
    if isinstance(error, model.GreengrassCoreIPCError):
        return BusError(f"{what} failed", why=_message(error))
    if isinstance(error, (AwsCrtError, ConnectionClosedError, StreamClosedError)) or type(error) is RuntimeError:
        reason = _readable(str(error)) or type(error).__name__
        return BusClosed(f"{what} failed", why=f"the connection is closed ({reason})")
    return BusError(f"{what} failed", why=f"{type(error).__name__}: {error}")


def _message(error: Any) -> str:
    return str(getattr(error, "message", None) or type(error).__name__)
