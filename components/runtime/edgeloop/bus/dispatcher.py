"""One thread that runs every handler, in the order of arrival, behind bounded queues."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

Handler = Callable[[str, bytes], None]

_LATE: Final = "messages come faster than they are handled; the oldest are dropped"


@dataclass(eq=False)
class Inbox:
    """What has arrived for one handler: at most `depth` messages, beyond which the oldest is dropped and counted."""

    name: str
    handler: Callable[..., None]
    depth: int
    waiting: deque[tuple[Any, ...]] = field(default_factory=deque)
    received: int = 0
    dropped: int = 0
    dropped_before: int = 0
    failed: int = 0
    open: bool = True
    trouble: str = ""


class Dispatcher:
    """`put` never blocks and may be called from any thread."""

    def __init__(self, name: str, on_trouble: Callable[[Inbox], None]) -> None:
        """on_trouble: called on the handlers' thread where an inbox's `trouble`, one line or "", has changed."""
        self._on_trouble = on_trouble
        self._ready: deque[Inbox] = deque()
        self._wake = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name=f"{name}-handlers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, inbox: Inbox, *arguments: Any) -> None:
        with self._wake:
            if self._stopped or not inbox.open:
                return
            inbox.received += 1
            inbox.waiting.append(arguments)
            if len(inbox.waiting) > inbox.depth:
                inbox.waiting.popleft()
                inbox.dropped += 1
                return
            self._ready.append(inbox)
            self._wake.notify()

    def remove(self, inbox: Inbox) -> None:
        """No handler call begins after this."""
        with self._wake:
            inbox.open = False
            inbox.waiting.clear()

    def stop(self, timeout: float) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout)

    @property
    def current(self) -> bool:
        """Whether the caller is a handler."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._ready and not self._stopped:
                    self._wake.wait()
                if self._stopped:
                    return
                inbox = self._ready.popleft()
                if not inbox.waiting:
                    continue
                arguments = inbox.waiting.popleft()
                late = inbox.dropped > inbox.dropped_before or (inbox.trouble == _LATE and bool(inbox.waiting))
                inbox.dropped_before = inbox.dropped
            trouble = _LATE if late else ""
            try:
                inbox.handler(*arguments)
            except Exception as error:
                inbox.failed += 1
                trouble = f"a message was not handled: {error!r}"
            if trouble != inbox.trouble:
                inbox.trouble = trouble
                self._on_trouble(inbox)
