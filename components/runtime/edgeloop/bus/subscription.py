"""A subscription that outlives the connections it is held over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from awsiot.eventstreamrpc import DeserializeError, UnmappedDataError

from edgeloop.bus.dispatcher import Inbox
from edgeloop.bus.link import BusTimeout, Link, answer
from edgeloop.errors import BusError

_FIRST: Final = 0.1
_LONGEST: Final = 60.0
_SETTLED: Final = 10.0
_PATIENCE: Final = 1.0
"""Seconds that the others wait for the answer to a patient one."""


class BusPending(BusError):
    """The nucleus has not answered, and that is no fault: it waits for its network."""


class Subscription:
    """`active` is set while the nucleus holds the subscription; `close` ends it.

    patient: the classic nucleus answers a subscription to IoT Core only once it is online. It is not waited for.
    """

    def __init__(
        self,
        filter: str,
        inbox: Inbox,
        start: Callable[..., Any],
        arrived: Callable[[Subscription, Any], None],
        closed: Callable[[], None],
        removed: Callable[[Subscription], None],
        on_active: Callable[[Subscription], None] | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.filter, self.inbox = filter, inbox
        self._start, self._arrived, self._closed = start, arrived, closed
        self._removed, self._on_active = removed, on_active
        self.patient, self.pending = patient, False
        self.active = threading.Event()
        self.answered = threading.Event()
        self.due = 0.0
        self.delay = _FIRST
        self._since = 0.0
        self._stream: object = None
        self._operation: Any = None

    def open(self, link: Link, timeout: float) -> None:
        """Raises BusError; the next attempt is then due after `delay`."""
        stream = object()
        self._stream = stream
        self._back_off()
        operation: Any = None
        future: Any = None
        try:

            def call() -> Any:
                nonlocal operation, future
                future, operation = self._start(
                    link.client,
                    on_stream_event=lambda event: self._event(stream, event),
                    on_stream_error=lambda error: self._error(stream, error),
                    on_stream_closed=lambda: self._ended(stream),
                )
                return future

            answer(call, f"subscribing to {self.filter}", min(timeout, _PATIENCE) if self.patient else timeout)
        except BusTimeout:
            self.answered.set()
            if not self.patient:
                self._stream = None
                if operation is not None:
                    operation.close()
                raise
            self.pending, self._operation = True, operation
            future.add_done_callback(lambda done: self._late(stream, done))
            raise BusPending(f"subscribing to {self.filter}", why="no answer yet") from None
        except BusError:
            self._stream = None
            if operation is not None:
                operation.close()
            self.answered.set()
            raise
        self._operation, self._since = operation, time.monotonic()
        self.active.set()
        if self._stream is not stream:
            self.active.clear()
            operation.close()
        self.answered.set()
        if self._on_active is not None:
            self._on_active(self)

    def _late(self, stream: object, done: Any) -> None:
        """The answer of a patient one; an error ends the stream, which makes it due again."""
        if self._stream is not stream:
            return
        self.pending = False
        if done.exception() is None:
            self._since = time.monotonic()
            self.active.set()
        else:
            self._stream = None
        self._closed()

    def close(self) -> None:
        """Ends the subscription; the handler is not called again."""
        self._stream = None
        operation, self._operation = self._operation, None
        self.active.clear()
        self._removed(self)
        if operation is not None:
            operation.close()

    def down(self) -> None:
        """The connection is gone: due again at once on the next."""
        self._stream = None
        self._operation = None
        self.pending = False
        self.due = 0.0
        self.active.clear()
        self.answered.set()

    def _back_off(self) -> None:
        if self._since and time.monotonic() - self._since > _SETTLED:
            self.delay = _FIRST
        self.due = time.monotonic() + self.delay
        self.delay = min(self.delay * 2, _LONGEST)

    def _event(self, stream: object, event: Any) -> None:
        if self._stream is stream:
            self._arrived(self, event)

    def _error(self, stream: object, error: Exception) -> bool:
        """Whether the SDK shall close the stream: not for one message that cannot be read, which is counted."""
        unreadable = isinstance(error, (DeserializeError, UnmappedDataError))
        self.inbox.failed += unreadable
        return not unreadable

    def _ended(self, stream: object) -> None:
        if self._stream is stream:
            self._stream = None
            self._operation = None
            self.pending = False
            self.active.clear()
            self._closed()
