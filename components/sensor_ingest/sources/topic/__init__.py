"""Topics of the local bus or of IoT Core: samples that other components and the cloud publish."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edgeloop import clock
from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.gather import Gather
from sensor_ingest.payload.topics import Router, Topic, foreseen
from sensor_ingest.sources.base import Closable, Foreseen, Outlet, Source, SourceConfiguration

OWN, ALLOWED = "edgeloop/", "edgeloop/in/"


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="topic"):
    topics: Annotated[dict[Id, Topic], Meta(title="Topics", description="what is subscribed to, and what it brings")]
    bus: Annotated[
        Literal["local", "iot_core"], Meta(title="Bus", description="this device's, or the cloud's broker")
    ] = "local"
    expect: Annotated[Duration, Meta(title="Expect", description="silence of a stream that is a problem; 0: never")] = (
        Duration("0 s")
    )

    def __post_init__(self) -> None:
        if not self.topics:
            raise ValueError("there are no topics")
        for id, topic in self.topics.items():
            if topic.payload == "sparkplug":
                raise ValueError(f"topics.{id}: Sparkplug B comes from a broker: take a source of type mqtt")
            if (topic.filter.startswith(OWN) and not topic.filter.startswith(ALLOWED)) or topic.filter[0] in "#+":
                raise ValueError(f"topics.{id}: {topic.filter} has what Edgeloop says itself; take {ALLOWED}…")


class Topics(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._router = Router(outlet.id, configuration.topics)
        self._feed = Feed(outlet, configuration.expect.seconds)
        self._gather = Gather(self._feed)
        self._subscriptions: list[Closable] = []
        self._failed = False

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return foreseen(id, configuration.topics)

    def setup(self) -> None:
        cloud = self.configuration.bus == "iot_core"
        for filter in dict.fromkeys(topic.filter for topic in self.configuration.topics.values()):
            self._subscriptions.append(self.outlet.subscribe(filter, self._heard, cloud=cloud))

    def run(self) -> None:
        self._feed.run(self._gather.due)

    def _heard(self, topic: str, payload: bytes) -> None:
        arrival = clock.now()
        if self._failed:
            return
        try:
            self._take(topic, payload, arrival)
        except Exception as error:
            self._failed = True
            self._feed.fail(error)

    def _take(self, topic: str, payload: bytes, arrival: int) -> None:
        try:
            route = self._router.route(topic)
        except ValueError as error:
            self._feed.bad(str(error), "topic")
            return
        if route is None:
            self.outlet.count("unwanted")
        elif route.channel:
            self._gather.take(route, payload, arrival)
        else:
            self._feed.take(route.stream, route.topic, payload, arrival, title=route.title)

    def interrupt(self) -> None:
        self._feed.wake()

    def close(self) -> None:
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()


SOURCE = Topics
