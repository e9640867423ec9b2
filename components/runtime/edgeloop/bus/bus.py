"""The bus as components see it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from awsiot.greengrasscoreipc import model

from edgeloop import topics
from edgeloop.bus.dispatcher import Dispatcher, Handler, Inbox
from edgeloop.bus.keeper import Keeper, Ping, Problem
from edgeloop.bus.link import CALL_TIMEOUT, BusClosed, BusNotFound, answer
from edgeloop.bus.outbox import Outbox
from edgeloop.bus.subscription import Subscription
from edgeloop.bus.token import renew
from edgeloop.documents import encode
from edgeloop.errors import BusError

SOCKET_VARIABLE: Final = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
TOKEN_VARIABLE: Final = "SVCUID"

LARGEST: Final = 9741
"""Nucleus lite closes the connection where 4 * ceil(payload / 3) + topic is more than this many bytes."""

_JOIN: Final = 0.3
_RENEWAL: Final = 3.0


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
    on_problem: told of what is wrong, and of its end. on_refused: called where the token has been refused three times
    and for 5 s, and on each refusal after that, where none is to be had in place: a restart by the nucleus gives one.
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
        self._on_problem, self._timeout = on_problem, timeout
        self._socket, self._name = Path(found), name
        short = topics.short(name) or "bus"
        self._ping = Ping(topics.ping(name), ping) if name else None
        self._outbox = Outbox(short, queue, self._send, self._published, self._broken)
        self._dispatcher = Dispatcher(short, self._handler_trouble)
        self._keeper = Keeper(
            Path(found), secret, timeout, self._ping, self._send, self._outbox.connected, on_problem, on_refused, short,
            self._renewed,
        )
        self._crowded = False
        self._limits: dict[str, int] = {}
        self._failing: set[str] = set()
        self._given_up: dict[str, int] = {}
        self._too_large: set[str] = set()
        self._oversize = 0

    def __enter__(self) -> Self:
        ping = self._ping
        if ping is not None:
            self._keeper.add(self._subscription(ping.topic, 1, None, lambda topic, payload: ping.seen()), wait=False)
        self._dispatcher.start()
        self._outbox.start()
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sends what is waiting (0.3 s at most) and ends every thread. Harmless when repeated."""
        if self.connected:
            self._outbox.flush(_JOIN)
        self._outbox.stop()
        self._keeper.close(_JOIN)
        self._outbox.join(_JOIN)
        self._dispatcher.stop(_JOIN)

    # -- what components call ------------------------------------------------------------------------------------------

    def publish(self, topic: str, payload: bytes) -> bool:
        """Queues a message; never blocks. False, and counted, where the queue is full or the message is larger than
        nucleus lite can carry. Raises BusError where the topic is not one to publish to."""
        limit = self._limits.get(topic) or self._check(topic)
        if len(payload) > limit:
            self._oversize += 1
            line = f"a message of {len(payload)} B on {topic} was not sent; the limit is {limit} B"
            self._too_large.add(topic)
            self._on_problem(f"bus.oversize.{topic}", line)
            return False
        if topic in self._too_large:
            self._too_large.discard(topic)
            self._on_problem(f"bus.oversize.{topic}", None)
        if self._outbox.put(topic, payload):
            return True
        if not self._crowded:
            self._crowded = True
            self._on_problem("bus.queue", f"the nucleus takes no messages; {len(self._outbox)} wait, new ones are lost")
        return False

    def publish_document(self, topic: str, document: Any) -> bool:
        """As publish, with the document's JSON."""
        return self.publish(topic, encode(document))

    def subscribe(self, filter: str, handler: Handler, depth: int = 1024, *, cloud: bool = False) -> Subscription:
        """Calls `handler(topic, payload)` for each message in order, all handlers on one thread; own messages too.

        Holds whatever happens to the connection. Of more than `depth` waiting messages the oldest is dropped and
        counted. A document of another program arrives as its JSON. Where the bus is connected, this returns when the
        nucleus has answered (see `Subscription.active`). cloud: the topics are those of IoT Core.
        """
        subscription = self._subscription(filter, depth, handler, None, cloud)
        self._keeper.add(subscription, wait=not self._dispatcher.current)
        return subscription

    def get_configuration(self, path: Sequence[str] = (), component: str = "") -> Any:
        """The component's own configuration at a path, or None ({} for all of it) where there is none. component:
        another one's."""
        keys, of = list(path), {"component_name": component} if component else {}
        try:
            response = self._call(
                lambda client: client.get_configuration_async(key_path=keys, **of), "reading the configuration"
            )
        except BusNotFound:
            return None if keys else {}
        value = response.value
        if keys and isinstance(value, dict) and set(value) == {keys[-1]} and not isinstance(value[keys[-1]], dict):
            return value[keys[-1]]
        return value if value is not None or keys else {}

    def get_secret(self, arn: str) -> str:
        """Of the classic nucleus's Secret Manager. Raises BusError, which shows nothing of it."""
        found = self._call(lambda client: client.get_secret_value_async(secret_id=arn), f"reading {arn}").secret_value
        text = found.secret_string if found is not None else None
        if not text:
            raise BusError("a secret has no text", where=arn)
        return str(text)

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
        subscription = Subscription(inbox.name, inbox, start, arrived, self._keeper.wake, self._removed, active)
        self._keeper.add(subscription, wait=not self._dispatcher.current)
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
        return self._keeper.wait_connected(timeout) is not None

    def flush(self, timeout: float) -> bool:
        """Whether all that was published has been taken by the nucleus within `timeout` seconds."""
        return self._outbox.flush(timeout)

    def given_up(self, topic: str) -> int:
        """Messages on a topic, since the start, that were queued and that the nucleus then refused or never answered:
        what must not be lost is published again where this has grown, once `flush` says that nothing waits."""
        return self._given_up.get(topic, 0)

    def probe(self) -> None:
        """Something looks wrong: pings itself at once, and connects again where that does not come back in 1.5 s."""
        self._keeper.probe()

    def ping_every(self, seconds: float) -> None:
        """For who must hear within seconds: one lost ping is enough."""
        if self._ping is not None:
            self._ping.interval, self._ping.enough = seconds, 1
            self._keeper.wake()

    @property
    def connected(self) -> bool:
        return self._keeper.link is not None

    @property
    def statistics(self) -> dict[str, int]:
        """Counts since the start; `waiting` is that of now."""
        boxes = [subscription.inbox for subscription in self._keeper.subscriptions]
        return {
            "sent": self._outbox.sent,
            "refused": self._outbox.refused,
            "not_queued": self._outbox.full,
            "oversize": self._oversize,
            "waiting": len(self._outbox),
            "received": sum(b.received for b in boxes),
            "dropped": sum(b.dropped for b in boxes),
            "handler_failures": sum(b.failed for b in boxes),
            "connections": self._keeper.connections,
            "pings": self._ping.sent if self._ping else 0,
            "pings_lost": self._ping.lost if self._ping else 0,
        }

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _call(self, call: Callable[[Any], Future[Any]], what: str) -> Any:
        link = self._keeper.wait_connected(self._timeout)
        if link is None:
            raise BusClosed(f"{what} failed", why="no connection to the nucleus")
        return answer(lambda: call(link.client), what, self._timeout)

    def _renewed(self) -> str:
        """Nucleus lite's tokens die with ggipcd; a component's own unit is given a new one in place."""
        found = renew(self._socket, self._name, _RENEWAL) if self._name else ""
        if found:
            os.environ[TOKEN_VARIABLE] = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = found
        return found

    def _send(self, topic: str, payload: bytes) -> None:
        link = self._keeper.link
        if link is None:
            raise BusClosed(f"publishing to {topic} failed", why="no connection to the nucleus")
        message = model.PublishMessage(binary_message=model.BinaryMessage(message=payload))
        link.publish(topic, message, self._timeout)

    def _published(self, topic: str, error: BusError | None) -> None:
        key = f"bus.publish.{topic}"
        if error is not None:
            self._failing.add(topic)
            self._given_up[topic] = self._given_up.get(topic, 0) + 1
            self._on_problem(key, str(error))
        elif topic in self._failing:
            self._failing.discard(topic)
            self._on_problem(key, None)
        if self._crowded and not len(self._outbox):
            self._crowded = False
            self._on_problem("bus.queue", None)

    def _broken(self, number: int, error: BusError) -> None:
        self._keeper.broken(number, error)

    def _removed(self, subscription: Subscription) -> None:
        self._dispatcher.remove(subscription.inbox)
        self._keeper.remove(subscription)

    def _subscription(
        self, filter: str, depth: int, handler: Handler | None, at_once: Handler | None, cloud: bool = False
    ) -> Subscription:
        """`at_once` runs on the SDK's thread and must not block; without it `handler` runs on the dispatcher's."""

        def start(client: Any, **handlers: Any) -> Any:
            if cloud:
                level = model.QOS.AT_LEAST_ONCE
                return client.subscribe_to_iot_core_async(topic_name=filter, qos=level, **handlers)
            mode = model.ReceiveMode.RECEIVE_ALL_MESSAGES
            return client.subscribe_to_topic_async(topic=filter, receive_mode=mode, **handlers)

        def arrived(subscription: Subscription, event: Any) -> None:
            topic, payload = _cloud_content(event, filter) if cloud else _content(event, filter)
            if at_once is not None:
                at_once(topic, payload)
            else:
                self._dispatcher.put(subscription.inbox, topic, payload)

        inbox = Inbox(filter, handler or _nothing, depth)
        return Subscription(filter, inbox, start, arrived, self._keeper.wake, self._removed, patient=cloud)

    def _check(self, topic: str) -> int:
        if not topic or len(topic.encode()) > 256 or any(c in topic for c in "+#?*$"):
            raise BusError("not a topic to publish to", where=topic[:64], mend="no wildcards, at most 256 bytes")
        limit = largest(topic)
        if len(self._limits) < 4096:
            self._limits[topic] = limit
        return limit

    def _handler_trouble(self, inbox: Inbox) -> None:
        line = f"{inbox.name}: {inbox.trouble}" if inbox.trouble else None
        self._on_problem(f"bus.handler.{inbox.name}", line)


def _content(event: Any, filter: str) -> tuple[str, bytes]:
    binary, json = event.binary_message, event.json_message
    message = binary if binary is not None else json
    topic = getattr(getattr(message, "context", None), "topic", None) or filter
    if binary is not None:
        payload = binary.message
        return topic, payload if isinstance(payload, bytes) else bytes(payload or b"")
    return topic, encode(json.message if json is not None else None)


def _cloud_content(event: Any, filter: str) -> tuple[str, bytes]:
    message = event.message
    return (message.topic_name or filter, bytes(message.payload or b"")) if message is not None else (filter, b"")


def _nothing(topic: str, payload: bytes) -> None:
    pass
