"""What IoT Core wants, by a retained message or by a named shadow."""

from __future__ import annotations

import os
import threading
from typing import Any, Final, Protocol

from edgeloop.durable import BackOff
from edgeloop.errors import BusError
from edgeloop.log import Log
from model_update.wishes import Wishes, shadow_topic, topic

ASK: Final = 3600.0
"""Seconds between two looks at the shadow: what it says while nobody listens is not said again."""
AGAIN: Final = 30.0
"""Seconds to the next look where nobody answered, doubled up to ASK: a thing without a shadow has none to tell."""


class Bus(Protocol):
    """The part of `edgeloop.bus.Bus` that is used."""

    def subscribe(self, filter: str, handler: Any, depth: int = ..., *, cloud: bool = ...) -> Any: ...

    def publish_to_iot_core(self, topic: str, payload: bytes, qos: Any = ...) -> None: ...


class Cloud:
    """Follows the configuration's `desired`; `close` ends it. thing: by default that of the environment."""

    def __init__(self, bus: Bus, wishes: Wishes, log: Log, thing: str = "") -> None:
        self._bus, self._wishes, self._log = bus, wishes, log
        self._thing = thing or os.environ.get("AWS_IOT_THING_NAME", "")
        self._way = ""
        self._subscriptions: list[Any] = []
        self._wake, self._stopped = threading.Event(), threading.Event()
        self._answered = False
        self._pause = BackOff(AGAIN, ASK)
        self._thread: threading.Thread | None = None

    def follow(self, way: str) -> None:
        """topic, shadow, or nothing."""
        if way == self._way:
            return
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions, self._way = [], way
        if not self._thing:
            if way:
                self._log.warning("this core has no thing name: nothing is heard from IoT Core")
            return
        if way == "topic":
            self._hear(topic(self._thing), self._wishes.message)
        elif way == "shadow":
            self._hear(shadow_topic(self._thing, "get/accepted"), self._accepted)
            self._hear(shadow_topic(self._thing, "update/delta"), lambda *_: self._wake.set())
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask, name="shadow", daemon=True)
                self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _hear(self, filter: str, handler: Any) -> None:
        self._subscriptions.append(self._bus.subscribe(filter, handler, cloud=True))

    def _accepted(self, topic: str, payload: bytes) -> None:
        self._answered = True
        self._wishes.shadow(topic, payload)

    def _ask(self) -> None:
        while not self._stopped.is_set():
            if self._wake.is_set():
                self._wake.clear()
                self._answered = False
                self._pause.succeeded()
            if self._way == "shadow":
                try:
                    self._bus.publish_to_iot_core(shadow_topic(self._thing, "get"), b"")
                except BusError as error:
                    self._log.debug("the shadow cannot be asked: %s", error)
            self._wake.wait(ASK if self._answered else self._pause.failed())
