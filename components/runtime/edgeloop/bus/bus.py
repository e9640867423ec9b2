"""The bus as components see it, and the thread that keeps it connected."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from awsiot.greengrasscoreipc import model

from edgeloop import topics
from edgeloop.bus.dispatcher import Dispatcher, Handler, Inbox
from edgeloop.bus.link import (
    CALL_TIMEOUT,
    BusClosed,
    BusNotFound,
    BusRefused,
    BusTimeout,
    Link,
    Native,
    TokenRefused,
    answer,
)
from edgeloop.bus.outbox import Outbox
from edgeloop.bus.subscription import Subscription
from edgeloop.documents import encode
from edgeloop.errors import BusError

SOCKET_VARIABLE: Final = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
TOKEN_VARIABLE: Final = "SVCUID"

LARGEST: Final = 9741
"""Nucleus lite closes the connection where 4 * ceil(payload / 3) + topic is more than this many bytes."""

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 60.0
_SETTLED = 5.0
_REFUSALS = 3
_FLUSH = 0.3

Problem = Callable[[str, str | None], None]
"""Called with a key and one line, or None where the problem is over. May be called on any thread, must not block."""


def largest(topic: str) -> int:
    """The most bytes that one message on the topic may have, on both nuclei.

    >>> largest("edgeloop/samples")
    7293
    """
    return max(0, (LARGEST - len(topic.encode())) // 4 * 3)


def _nowhere(key: str, line: str | None) -> None:
    pass


class Bus:
    """Publish and subscribe through the nucleus, over one connection that is made again whenever it is lost.

    socket, token: of the nucleus; by default what it gave this process in the environment.
    name: the component's, for the self-ping and thread names; without it there is no self-ping.
    on_problem: told of what is wrong, and of its end. on_refused: called on each refusal of the token from the third on
    in a row: only a restart by the nucleus gives a new one.
    queue: messages waiting to be sent. ping: seconds between self-pings; two that are lost make a new connection.
    """

    def __init__(
        self,
        socket: str | Path | None = None,
        token: str | None = None,
        name: str = "",
        *,
        on_problem: Problem = _nowhere,
        on_refused: Callable[[], None] | None = None,
        queue: int = 512,
        ping: float = 30.0,
        timeout: float = CALL_TIMEOUT,
    ) -> None:
        found = socket or os.environ.get(SOCKET_VARIABLE)
        secret = token or os.environ.get(TOKEN_VARIABLE)
        if not found or not secret:
            missing = SOCKET_VARIABLE if not found else TOKEN_VARIABLE
            mend = "deploy it to a Greengrass core, or to the local core (edgeloop core start)"
            raise BusError("this process was not started by a nucleus", why=f"{missing} is not set", mend=mend)
        self._socket, self._token, self._name = Path(found), secret, name
        self._on_problem, self._on_refused = on_problem, on_refused
        self._timeout, self._ping_interval = timeout, ping
        self._native = Native()
        self._link: Link | None = None
        self._number = 0
        self._lock = threading.Lock()
        self._state = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._subscriptions: list[Subscription] = []
        short = topics.short(name) or "bus"
        self._dispatcher = Dispatcher(short, self._handler_failed)
        self._outbox = Outbox(short, queue, self._send, self._published, self._broken)
        self._thread = threading.Thread(target=self._supervise, name=f"{short}-bus", daemon=True)
        self._crowded = False
        self._checked: set[str] = set()
        self._failing: set[str] = set()
        self._refusals = self._connections = self._oversize = 0
        self._pings = self._pings_lost = 0
        self._ping: _Ping | None = None

    def __enter__(self) -> Self:
        self._dispatcher.start()
        self._outbox.start()
        if self._name:
            self._ping = _Ping(topics.ping(self._name))
            self._add(self._topic_subscription(self._ping.topic, None, 1, self._ping.seen))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sends what is waiting (0.3 s at most) and ends every thread. Harmless when repeated."""
        if self._stopped.is_set():
            return
        self._outbox.flush(_FLUSH)
        self._stopped.set()
        self._outbox.stop()
        self._wake.set()
        link = self._take_down("closed")
        if link is not None:
            link.close().add_done_callback(_retrieved)
        self._outbox.join(1.0)
        self._dispatcher.stop(1.0)
        if self._thread.is_alive():
            self._thread.join(1.0)

    # -- what components call ------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: bytes) -> bool:
        """Queues a message; never blocks. False, and counted, where the queue is full or the message is larger than
        nucleus lite can carry. Raises BusError where the topic is not one to publish to."""
        if topic not in self._checked:
            self._check(topic)
        if len(payload) > largest(topic):
            self._oversize += 1
            line = f"a message of {len(payload)} B on {topic} was not sent; the limit is {largest(topic)} B"
            self._on_problem("bus.oversize", line)
            return False
        if self._outbox.put(topic, payload):
            return True
        if not self._crowded:
            self._crowded = True
            self._on_problem("bus.queue", f"the nucleus takes no messages; {len(self._outbox)} wait, new ones are lost")
        return False

    def publish_document(self, topic: str, document: Any) -> bool:
        """As publish, with the document's JSON."""
        return self.publish(topic, encode(document))

    def subscribe(self, filter: str, handler: Handler, depth: int = 1024) -> Subscription:
        """Calls `handler(topic, payload)` for each message in order, all handlers on one thread; own messages too.

        Holds whatever happens to the connection. Of more than `depth` waiting messages the oldest is dropped and
        counted. A document of another program arrives as its JSON. Where the bus is connected, this returns when the
        nucleus has answered (see `Subscription.active`).
        """
        subscription = self._topic_subscription(filter, handler, depth, None)
        self._add(subscription)
        return subscription

    def get_configuration(self, path: Sequence[str] = ()) -> Any:
        """The component's own configuration at a path, or None ({} for all of it) where there is none."""
        keys = list(path)
        try:
            response = self._call(
                lambda client: client.get_configuration_async(key_path=keys), "reading the configuration"
            )
        except BusNotFound:
            return None if keys else {}
        value = response.value
        if keys and isinstance(value, dict) and set(value) == {keys[-1]} and not isinstance(value[keys[-1]], dict):
            return value[keys[-1]]
        return value if value is not None or keys else {}

    def update_configuration(self, path: Sequence[str], value: Any) -> None:
        """Merges a map, or sets one value, at a path of the component's own configuration."""
        keys = list(path)
        if not isinstance(value, dict):
            if not keys:
                raise BusError("a configuration is a map", why=f"{type(value).__name__} given")
            value = {keys.pop(): value}
        self._call(
            lambda client: client.update_configuration_async(
                key_path=keys, timestamp=datetime.now(UTC), value_to_merge=value
            ),
            "updating the configuration",
        )

    def on_configuration_change(self, callback: Callable[[tuple[str, ...]], None]) -> Subscription:
        """Calls `callback(key path)`, on the handlers' thread, for each change of the own configuration: once per leaf
        on lite, and with an empty path after each new connection, because changes may have been missed."""

        def start(client: Any, **handlers: Any) -> Any:
            return client.subscribe_to_configuration_update_async(key_path=[], **handlers)

        def arrived(subscription: Subscription, event: Any) -> None:
            changed = event.configuration_update_event
            path = tuple(changed.key_path or ()) if changed is not None else ()
            self._dispatcher.put(subscription.inbox, path)

        def active(subscription: Subscription) -> None:
            self._dispatcher.put(subscription.inbox, ())

        inbox = Inbox("the configuration", callback, 256)
        subscription = Subscription("the configuration", inbox, start, arrived, self._closed, on_active=active)
        self._add(subscription)
        return subscription

    def publish_to_iot_core(self, topic: str, payload: bytes, qos: Literal[0, 1] = 1) -> None:
        """Raises BusError where the nucleus refuses it; offline, lite has not queued it then."""
        level = model.QOS.AT_LEAST_ONCE if qos else model.QOS.AT_MOST_ONCE
        self._call(
            lambda client: client.publish_to_iot_core_async(topic_name=topic, qos=level, payload=payload),
            f"publishing to IoT Core topic {topic}",
        )

    def update_state(self, state: Literal["RUNNING", "ERRORED"]) -> None:
        """Tells the nucleus what this component says of itself."""
        self._call(lambda client: client.update_state_async(state=state), "updating the state")

    def wait_connected(self, timeout: float) -> bool:
        """Whether the bus is connected, within `timeout` seconds."""
        with self._state:
            return self._state.wait_for(lambda: self._link is not None or self._stopped.is_set(), timeout) and (
                self._link is not None
            )

    def flush(self, timeout: float) -> bool:
        """Whether all that was published has been taken by the nucleus within `timeout` seconds."""
        return self._outbox.flush(timeout)

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def statistics(self) -> dict[str, int]:
        """Counts since the start; `waiting` is that of now."""
        boxes = [s.inbox for s in self._subscriptions]
        return {
            "sent": self._outbox.sent,
            "refused": self._outbox.refused,
            "not_queued": self._outbox.full,
            "oversize": self._oversize,
            "waiting": len(self._outbox),
            "received": sum(b.received for b in boxes),
            "dropped": sum(b.dropped for b in boxes),
            "handler_failures": sum(b.failed for b in boxes),
            "connections": self._connections,
            "pings": self._pings,
            "pings_lost": self._pings_lost,
        }

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _call(self, call: Callable[[Any], Future[Any]], what: str) -> Any:
        if not self.wait_connected(self._timeout):
            raise BusClosed(f"{what} failed", why="no connection to the nucleus")
        link = self._link
        if link is None:
            raise BusClosed(f"{what} failed", why="no connection to the nucleus")
        return answer(lambda: call(link.client), what, self._timeout)

    def _send(self, topic: str, payload: bytes) -> None:
        link = self._link
        if link is None:
            raise BusClosed("no connection")
        message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
        answer(
            lambda: link.client.publish_to_topic_async(topic=topic, publish_message=message),
            f"publishing to {topic}",
            self._timeout,
        )

    def _published(self, topic: str, error: BusError | None) -> None:
        key = f"bus.publish.{topic}"
        if error is not None:
            self._failing.add(topic)
            self._on_problem(key, str(error))
        elif topic in self._failing:
            self._failing.discard(topic)
            self._on_problem(key, None)
        if self._crowded and not len(self._outbox):
            self._crowded = False
            self._on_problem("bus.queue", None)

    def _check(self, topic: str) -> None:
        if not topic or len(topic.encode()) > 256 or any(c in topic for c in "+#?*$"):
            raise BusError("not a topic to publish to", where=topic[:64], mend="no wildcards, at most 256 bytes")
        if len(self._checked) < 4096:
            self._checked.add(topic)

    def _handler_failed(self, inbox: Inbox, error: Exception) -> None:
        self._on_problem(f"bus.handler.{inbox.name}", f"a message on {inbox.name} was not handled: {error!r}")

    # -- subscriptions -------------------------------------------------------------------------------------------------

    def _topic_subscription(
        self, filter: str, handler: Handler | None, depth: int, at_once: Callable[[bytes], None] | None
    ) -> Subscription:
        def start(client: Any, **handlers: Any) -> Any:
            mode = model.ReceiveMode.RECEIVE_ALL_MESSAGES
            return client.subscribe_to_topic_async(topic=filter, receive_mode=mode, **handlers)

        def arrived(subscription: Subscription, event: Any) -> None:
            topic, payload = _content(event, filter)
            if at_once is not None:
                at_once(payload)
            else:
                self._dispatcher.put(subscription.inbox, topic, payload)

        return Subscription(filter, Inbox(filter, handler or _nothing, depth), start, arrived, self._closed)

    def _add(self, subscription: Subscription) -> None:
        subscription.bind(self._wake.set, self._remove)
        with self._lock:
            self._subscriptions.append(subscription)
            connected = self._link is not None
        self._wake.set()
        if connected and not self._dispatcher.current:
            subscription.answered.wait(self._timeout)

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
        self._dispatcher.remove(subscription.inbox)
        self._on_problem(f"bus.subscribe.{subscription.filter}", None)

    def _closed(self, subscription: Subscription) -> None:
        self._wake.set()

    def _subscribe_due(self, link: Link) -> float:
        """Opens the subscriptions that are down and due; seconds until the next is due."""
        soonest = LONGEST_DELAY
        with self._lock:
            waiting = [s for s in self._subscriptions if not s.active.is_set()]
        for subscription in waiting:
            left = subscription.due - time.monotonic()
            if left > 0:
                soonest = min(soonest, left)
                continue
            key = f"bus.subscribe.{subscription.filter}"
            try:
                subscription.open(link, self._number, self._timeout)
            except (BusClosed, BusTimeout) as error:
                self._on_problem(key, str(error))
                self._broken(self._number, error)
                return 0.0
            except BusError as error:
                self._on_problem(key, str(error))
                soonest = min(soonest, subscription.delay)
            else:
                self._on_problem(key, None)
        return soonest

    # -- the connection ------------------------------------------------------------------------------------------------

    def _take_down(self, reason: str, number: int | None = None) -> Link | None:
        with self._state:
            if number is not None and number != self._number:
                return None
            link, self._link = self._link, None
            self._state.notify_all()
            subscriptions = list(self._subscriptions)
        if link is None:
            return None
        self._outbox.connected(0)
        for subscription in subscriptions:
            subscription.down()
        self._wake.set()
        if not self._stopped.is_set():
            self._on_problem("bus", f"the connection to the nucleus is lost ({reason}); connecting again")
        return link

    def _broken(self, number: int, error: BusError) -> None:
        link = self._take_down(str(error), number)
        if link is not None:
            link.close().add_done_callback(_retrieved)

    def _connect(self) -> bool:
        number = self._number + 1
        self._number = number
        def lost(reason: str) -> None:
            self._take_down(reason, number)

        try:
            link = Link(self._native, self._socket, self._token, lost, self._timeout)
        except TokenRefused as error:
            self._on_problem("bus", str(error))
            self._refusals += 1
            if self._refusals >= _REFUSALS and self._on_refused is not None:
                self._on_refused()
            return False
        except BusError as error:
            self._on_problem("bus", str(error))
            return False
        self._refusals = 0
        with self._state:
            if self._stopped.is_set():
                link.close().add_done_callback(_retrieved)
                return False
            self._link = link
            self._connections += 1
            self._state.notify_all()
        self._outbox.connected(number)
        self._on_problem("bus", None)
        return True

    def _supervise(self) -> None:
        delay, since = FIRST_DELAY, time.monotonic()
        while not self._stopped.is_set():
            link = self._link
            if link is None:
                if time.monotonic() - since > _SETTLED and self._connections:
                    delay = FIRST_DELAY
                since = time.monotonic()
                if not self._connect():
                    self._stopped.wait(delay * random.uniform(0.8, 1.2))
                    delay = min(delay * 2, LONGEST_DELAY)
                    since = time.monotonic()
                continue
            self._wake.clear()
            if self._link is not link:
                continue
            pause = min(self._subscribe_due(link), self._self_ping())
            if self._link is link:
                self._wake.wait(max(pause, 0.0))

    def _self_ping(self) -> float:
        """Sends the ping when it is due; seconds until the next."""
        ping = self._ping
        if ping is None:
            return LONGEST_DELAY
        left = ping.due - time.monotonic()
        if left > 0:
            return left
        number = self._number
        if ping.waiting:
            self._pings_lost += 1
            ping.lost += 1
            if ping.lost >= 2:
                ping.reset(self._ping_interval)
                self._broken(number, BusError("two self-pings did not come back"))
                return 0.0
        ping.sent(self._ping_interval)
        try:
            self._send(ping.topic, b"ping")
            self._pings += 1
        except BusRefused as error:
            ping.waiting = False
            self._on_problem(f"bus.publish.{ping.topic}", str(error))
        except BusError as error:
            ping.reset(self._ping_interval)
            self._broken(number, error)
        return self._ping_interval


class _Ping:
    """The state of the self-ping."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.reset(0.0)

    def reset(self, interval: float) -> None:
        self.waiting, self.lost, self.due = False, 0, time.monotonic() + interval

    def sent(self, interval: float) -> None:
        self.waiting, self.due = True, time.monotonic() + interval

    def seen(self, payload: bytes) -> None:
        self.waiting, self.lost = False, 0


def _content(event: Any, filter: str) -> tuple[str, bytes]:
    binary, json = event.binary_message, event.json_message
    message = binary if binary is not None else json
    topic = getattr(getattr(message, "context", None), "topic", None) or filter
    if binary is not None:
        payload = binary.message
        return topic, payload if isinstance(payload, bytes) else bytes(payload or b"")
    return topic, encode(json.message if json is not None else None)


def _retrieved(future: Future[None]) -> None:
    future.exception()


def _nothing(topic: str, payload: bytes) -> None:
    pass
