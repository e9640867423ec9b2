"""Who subscribed to what: local topics, the in-process IoT Core, configuration."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from .connection import Connection
from .matching import Nucleus, is_wildcard, topic_pattern

SPOOL_BYTES = 2_621_440
"""What the classic nucleus keeps for IoT Core while offline (its default, 2.5 MiB)."""
PUBLISH_BYTES = 128 * 1024
"""IoT Core's largest payload."""


@dataclass(slots=True, eq=False)
class Subscription:
    """`pattern` is None for a filter without wildcards."""

    connection: Connection
    stream: int
    topic_filter: str
    pattern: re.Pattern[str] | None
    others_only: bool = False

    @property
    def component(self) -> str:
        return self.connection.component


class Topics:
    """Subscriptions by filter; what a topic reaches is remembered until a subscription comes or goes."""

    def __init__(self, nucleus: Nucleus, *, mqtt: bool) -> None:
        self._parent = mqtt or nucleus == "lite"
        self._drop_trailing = nucleus == "classic" and not mqtt
        self._exact: dict[str, list[Subscription]] = {}
        self._wildcards: list[Subscription] = []
        self._reached: dict[str, tuple[Subscription, ...]] = {}

    def subscribe(self, connection: Connection, stream: int, topic_filter: str, others_only: bool) -> Subscription:
        wildcard = is_wildcard(topic_filter)
        pattern = topic_pattern(self._key(topic_filter), parent=self._parent) if wildcard else None
        subscription = Subscription(connection, stream, topic_filter, pattern, others_only)
        if wildcard:
            self._wildcards.append(subscription)
        else:
            self._exact.setdefault(self._key(topic_filter), []).append(subscription)
        self._reached.clear()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription.pattern is not None:
            if subscription in self._wildcards:
                self._wildcards.remove(subscription)
        else:
            key = self._key(subscription.topic_filter)
            there = self._exact.get(key, [])
            if subscription in there:
                there.remove(subscription)
                if not there:
                    del self._exact[key]
        self._reached.clear()

    def reached(self, topic: str) -> tuple[Subscription, ...]:
        """The subscriptions that take a topic."""
        found = self._reached.get(topic)
        if found is None:
            if len(self._reached) >= 4096:
                self._reached.clear()
            key = self._key(topic)
            found = (
                *self._exact.get(key, ()),
                *(one for one in self._wildcards if one.pattern and one.pattern.fullmatch(key)),
            )
            self._reached[topic] = found
        return found

    def of(self, component: str, topic_filter: str | None) -> list[Subscription]:
        """A component's subscriptions, to one filter or to any."""
        every: Iterable[Subscription] = (*self._wildcards, *(one for list_ in self._exact.values() for one in list_))
        return [one for one in every if one.component == component and topic_filter in (None, one.topic_filter)]

    def _key(self, topic: str) -> str:
        return topic.rstrip("/") if self._drop_trailing else topic


class Spool:
    """What waits for IoT Core while offline, in order, up to `SPOOL_BYTES` of payload."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, topic: str, message: bytes, size: int) -> bool:
        """`size`: bytes of payload. False if it is full."""
        if self._bytes + size > SPOOL_BYTES:
            return False
        self._waiting.append((topic, message))
        self._bytes += size
        return True

    def take(self) -> list[tuple[str, bytes]]:
        waiting = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return waiting


class Retained:
    """What IoT Core keeps of a topic for who subscribes later: the newest message that was published to be kept; an
    empty one ends that."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def put(self, topic: str, event: bytes, *, empty: bool) -> None:
        """event: as it is delivered."""
        if empty:
            self._kept.pop(topic, None)
        else:
            self._kept[topic] = event

    def matching(self, topic_filter: str) -> list[tuple[str, bytes]]:
        pattern = topic_pattern(topic_filter, parent=True)
        return [(topic, event) for topic, event in self._kept.items() if pattern.fullmatch(topic)]
