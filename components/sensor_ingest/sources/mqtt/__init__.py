"""A broker's topics: what devices, gateways and other programs publish by MQTT."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from edgeloop import clock, optional, topics
from edgeloop.config.identifiers import Id
from edgeloop.config.quantities import Duration
from edgeloop.decode import document, file
from edgeloop.durable import replace
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.secret import Arn
from edgeloop.supervise.handling import Handling
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.gather import Gather
from sensor_ingest.payload.sparkplug import Sparkplug
from sensor_ingest.payload.templates import VALUE
from sensor_ingest.payload.topics import Router, Topic, foreseen
from sensor_ingest.sources.base import Closable, Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.mqtt import address
from sensor_ingest.sources.mqtt.address import Address
from sensor_ingest.sources.mqtt.link import Link
from sensor_ingest.sources.mqtt.writes import Write, parse, row

PURPOSE = "an MQTT source"
PATIENCE = 10.0
"""s for connection and answer."""
CONFIRMED = 2.0
"""s within which the broker has to take what is written."""
ALARMS = topics.ALARMS
KEPT = 3600.0
"""s for which a broker keeps a session, if nothing else is said."""
REFUSED = 128
"""Reason codes from here on are failures (MQTT 5.0, section 2.4)."""


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="mqtt"):
    broker: Annotated[str, Meta(title="Broker", description="mqtt://host:1883, or with TLS mqtts://host:8883")]
    topics: Annotated[
        dict[Id, Topic], Meta(title="Topics", description="what is subscribed to, and what it brings")
    ] = {}  # noqa: RUF012
    ca: Annotated[str, Meta(title="CA", description="file with the certificates that the broker is believed by")] = ""
    certificate: Annotated[str, Meta(title="Certificate", description="file with the client's certificate")] = ""
    key: Annotated[str, Meta(title="Key", description="file with its private key")] = ""
    username: Annotated[str, Meta(title="User name", description="for the broker")] = ""
    password_file: Annotated[str, Meta(title="Password file", description="file whose first line is the password")] = ""
    password_secret: Annotated[
        Arn, Meta(title="Password secret", description="in its place, on classic: the ARN in Secrets Manager")
    ] = ""
    client: Annotated[
        str, Meta(title="Client", description="client id, unique; empty: from thing and source", max_length=64)
    ] = ""
    version: Annotated[Literal["3.1.1", "5"], Meta(title="Version", description="of MQTT")] = "3.1.1"
    qos: Annotated[Literal[0, 1], Meta(title="QoS", description="1: at least once")] = 1
    session: Annotated[
        Duration | None,
        Meta(
            title="Session",
            description="time for which the broker keeps messages while away; 0: it does not; empty: 1 h, where the "
            "client id stays the same",
        ),
    ] = None
    keep_alive: Annotated[
        Duration,
        Meta(
            title="Keep-alive",
            description="a broker silent for one and a half times this is gone",
            extra={"ge": "1 s", "le": "1 h"},
        ),
    ] = Duration("30 s")
    retained: Annotated[bool, Meta(title="Retained", description="a retained message is a sample, too")] = False
    rebirth: Annotated[
        bool, Meta(title="Rebirth", description="Sparkplug B: a node whose birth was missed is asked for another")
    ] = True
    expect: Annotated[Duration, Meta(title="Expect", description="silence of a stream that is a problem; 0: never")] = (
        Duration("0 s")
    )
    prompt: Annotated[
        bool,
        Meta(title="Prompt", description="samples do not wait for the tick: for limits that act at once; costs CPU"),
    ] = False
    writes: Annotated[
        dict[str, str] | str,
        Meta(
            title="Writes",
            description='topic and payload of each of `actions`: `press1/cmd {"stop": {value}}`; known '
            "are value, alarm, text, channel, time, score, state, asset, severity, monitor, kind, id",
        ),
    ] = {}  # noqa: RUF012
    alarms: Annotated[
        str,
        Meta(
            title="Alarms",
            description="topic, and payload if it is not the whole alarm as JSON, to which alarms go out: "
            "`plant/alarms/{asset}/{alarm}`",
        ),
    ] = ""

    def __post_init__(self) -> None:
        where = Address.parse(self.broker)
        if not self.topics and not self.actions and not self.alarms:
            raise ValueError("there are no topics")
        if self.alarms:
            row("alarms", self.alarms, needed=False)
        if not where.secure and (self.ca or self.certificate or self.key):
            raise ValueError("certificates need TLS: the broker is mqtts://…")
        if self.key and not self.certificate:
            raise ValueError("a key needs its certificate")
        if self.password_file and self.password_secret:
            raise ValueError("the password is in a file or in Secrets Manager: one of them")
        if (self.password_file or self.password_secret) and not self.username:
            raise ValueError("a password needs a username")
        if self.session and not self.qos:
            raise ValueError("a session needs qos 1")
        if len({topic.filter for topic in self.topics.values()}) < len(self.topics):
            raise ValueError("two topics have the same filter")
        parse(self.writes, self.actions)

    @property
    def kept(self) -> float:
        """s for which the broker keeps a session."""
        if self.session is not None:
            return float(self.session.seconds)
        return KEPT if self.qos and (self.client or os.environ.get("AWS_IOT_THING_NAME")) else 0.0


class Mqtt(Source[Configuration]):
    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._address = Address.parse(configuration.broker)
        self._writes: dict[str, Write] = parse(configuration.writes, configuration.actions)
        self._router = Router(outlet.id, configuration.topics)
        self._feed = Feed(
            outlet,
            configuration.expect.seconds,
            self._written if configuration.qos else None,
            prompt=configuration.prompt,
        )
        self._taken: list[tuple[int, int]] = []
        """(mid, QoS) of messages that are to be acknowledged once they are in the journal."""
        self._link: Link | None = None
        self._gather = Gather(self._feed)
        self._plugged: Sparkplug | None = None
        self._subscribing: dict[int, list[str]] = {}
        self._connected = threading.Event()
        self._client: Any = None
        self._failed = False
        self._hand: Handling | None = None
        self._alarms = row("alarms", configuration.alarms, needed=False) if configuration.alarms else None
        self._heard: Closable | None = None

    @classmethod
    def live(cls, configuration: Configuration) -> bool:
        """What the broker keeps may wait there."""
        return not configuration.qos

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        return foreseen(id, configuration.topics)

    def setup(self) -> None:
        if self.configuration.qos:
            self._hand = Handling.of_source(self.outlet, "a message")
        self._mqtt = optional.load("paho.mqtt.client", PURPOSE)
        properties = optional.load("paho.mqtt.properties", PURPOSE)
        packets = optional.load("paho.mqtt.packettypes", PURPOSE)
        c, mqtt = self.configuration, self._mqtt
        five = c.version == "5"
        name = c.client or address.client(os.environ.get("AWS_IOT_THING_NAME") or socket.gethostname(), self.outlet.id)
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else not c.kept,
            manual_ack=True,
            protocol=mqtt.MQTTv5 if five else mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = PATIENCE
        if c.username:
            place = c.password_file or c.password_secret
            client.username_pw_set(c.username, address.secret(place) if place else None)
        if self._address.secure:
            client.tls_set_context(address.context(c.ca, c.certificate, c.key))
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_subscribe, client.on_message = self._on_subscribe, self._on_message
        about: dict[str, Any] = {}
        if five:
            about["clean_start"] = not c.kept
            about["properties"] = properties.Properties(packets.PacketTypes.CONNECT)
            about["properties"].SessionExpiryInterval = min(int(c.kept), 2**32 - 1)
        self._client = client
        self._link = Link(client, f"mqtt-{self.outlet.id}", self._feed.hurry, mqtt.MQTT_ERR_CONN_LOST)
        try:
            client.connect(self._address.host, self._address.port, max(1, round(c.keep_alive.seconds)), **about)
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            raise self._error(
                "does not pass the TLS handshake", why, "check `ca`, `certificate` and its host name"
            ) from None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._error("cannot be reached", why) from None

    def run(self) -> None:
        assert self._link is not None
        self._link.start()
        if self.outlet.stop.is_set():
            self.interrupt()
        self._feed.run(self._gather.due)

    @property
    def _sparkplug(self) -> Sparkplug:
        if self._plugged is None:
            self._plugged = Sparkplug(self._feed, self._router.name, self._ask if self.configuration.rebirth else None)
        return self._plugged

    def _ask(self, topic: str, payload: bytes) -> None:
        if self._link is not None:
            self._link.call(lambda: self._client.publish(topic, payload, qos=0))
        self.outlet.count("rebirths")

    # -- on the client's thread ----------------------------------------------------------------------------------------

    def _guarded(self, error: Exception) -> None:
        """An error of ours must not end the client's thread and the process with it."""
        self._failed = True
        self._feed.fail(error)

    def _on_connect(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            mend = "correct `username` and `password_file`" if "uthor" in str(code) or "user" in str(code) else ""
            self._guarded(self._error("refuses the connection", str(code), mend))
            return
        self._connected.set()
        self.outlet.clear()
        self.outlet.log(f"connected to {self._address}")
        filters = [topic.filter for topic in self.configuration.topics.values()]
        if self._alarms is not None and self._heard is None:
            self._heard = self.outlet.subscribe(ALARMS, self._alarm)
        self._leave(filters)
        if filters:
            _, number = client.subscribe([(filter, self.configuration.qos) for filter in filters])
            self._subscribing[number] = filters

    def _leave(self, filters: list[str]) -> None:
        """What an earlier configuration subscribed to goes on in the broker's session until it is left."""
        state = self.outlet.state
        if not self.configuration.kept:
            return
        try:
            known = file(state, list[str], what="the filters of a session") if state.exists() else []
            if gone := [filter for filter in known if filter not in filters]:
                self._client.unsubscribe(gone)
            if known != filters:
                replace(state, json.dumps(filters).encode())
        except (OSError, EdgeloopError) as error:
            self.outlet.log(f"the filters of the session cannot be kept: {error}")

    def _alarm(self, topic: str, payload: bytes) -> None:
        """An alarm of this device, on its way to the broker."""
        wanted, link = self._alarms, self._link
        try:
            about = document(payload, what="an alarm")
        except DecodeError as error:
            self._feed.bad(str(error), "alarm")
            return
        if wanted is None or link is None or not isinstance(about, dict) or not self._connected.is_set():
            self.outlet.count("unsent_alarms")
            return
        said = {**about, "alarm": about.get("id", ""), "score": (about.get("cause") or {}).get("score", "")}
        said["channel"] = _channel(about)
        content = payload if wanted.template == VALUE else wanted.payload(1.0 if about.get("active") else 0.0, said)
        where = wanted.target(1.0, said)
        link.call(lambda: self._client.publish(where, content, qos=1))
        self.outlet.count("alarms")

    def _on_subscribe(self, client: Any, userdata: Any, number: int, codes: Any, properties: Any) -> None:
        filters = self._subscribing.pop(number, [])
        refused = [f for f, code in zip(filters, codes, strict=False) if code.value >= REFUSED]
        if refused:
            line = f"the broker {self._address} refuses to let {self.outlet.id} subscribe to {', '.join(refused[:4])}"
            self.outlet.problem(f"{line}; let user {self.configuration.username or 'anonymous'} read it", "subscribe")
        else:
            self.outlet.clear("subscribe")
        self.outlet.log(f"subscribed to {len(filters) - len(refused)} of {len(filters)} filters")

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        arrival = clock.now()
        try:
            self._handle(message, arrival)
        except Exception as error:
            self._guarded(error)
            return
        if message.qos and not self._failed and self._link is not None:
            self._link.took()
            self._taken.append((message.mid, message.qos))
            if len(self._taken) == 1:
                self._feed.wake()

    def _handle(self, message: Any, arrival: int) -> None:
        """What the broker sends again must not end one process after the other."""
        if self._hand is None or not message.qos:
            self._take(message, arrival)
        elif self._hand.deadly_message(message.topic, message.payload):
            self.outlet.count("set_aside_again")
        else:
            with self._hand.message(message.topic, message.payload):
                self._take(message, arrival)

    def _written(self) -> Callable[[], None] | None:
        """Acknowledges what was taken so far, once it is in the journal."""
        taken, self._taken = self._taken, []
        link = self._link
        return (lambda: link.acknowledge(taken)) if taken and link is not None else None

    def _take(self, message: Any, arrival: int) -> None:
        if self._failed:
            return
        if message.retain and not self.configuration.retained:
            self.outlet.count("retained")
            return
        try:
            route = self._router.route(message.topic)
        except ValueError as error:
            self._feed.bad(str(error), "topic")
            return
        if route is None:
            self.outlet.count("unwanted")
        elif route.channel:
            self._gather.take(route, message.payload, arrival)
        elif route.topic.payload == "sparkplug":
            self._sparkplug.take(message.topic, route.topic, message.payload, arrival)
        else:
            self._feed.take(route.stream, route.topic, message.payload, arrival, again=message.dup, title=route.title)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        was, failed = self._connected.is_set(), self._failed
        self._connected.clear()
        if not self.outlet.stop.is_set() and not failed:
            what = "closed the connection" if was else "ended the connection before it began"
            self._guarded(self._error(what, str(code)))

    def _error(self, what: str, why: str, mend: str = "") -> EdgeloopError:
        line = f"the broker of the source {self.outlet.id} {what}"
        return EdgeloopError(line, where=str(self._address), why=why, mend=mend or "it is tried again")

    # -- from other threads --------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        self._feed.wake()

    def write(self, target: str, value: float) -> None:
        self.carry(target, value, {})

    def carry(self, target: str, value: float, cause: Mapping[str, Any]) -> None:
        wanted = self._writes.get(target)
        if wanted is None:
            raise EdgeloopError(f"{target} has no topic", where=self.outlet.id, mend="name it in `writes`")
        if not self._connected.is_set():
            raise EdgeloopError(f"the broker {self._address} is not connected", mend="nothing was sent")
        topic = wanted.target(value, cause)
        sent = self._client.publish(topic, wanted.payload(value, cause), qos=1)
        try:
            sent.wait_for_publish(CONFIRMED)
            confirmed = sent.is_published()
        except (RuntimeError, ValueError) as error:
            raise EdgeloopError(f"{topic} cannot be published", why=str(error)) from None
        if not confirmed:
            raise EdgeloopError(
                f"the broker {self._address} did not confirm {topic} within {CONFIRMED:g} s",
                mend="it may have been carried out",
            )

    def close(self) -> None:
        if self._heard is not None:
            self._heard.close()
            self._heard = None
        client, self._client = self._client, None
        if client is not None:
            assert self._link is not None
            self._link.close()
        if self._hand is not None:
            self._hand.close()
            self._hand = None


def _channel(alarm: Mapping[str, Any]) -> str:
    """The channel that adds most, or the stream."""
    cause = alarm.get("cause") or {}
    found = cause.get("attribution") or [{}]
    return str(found[0].get("channel") or cause.get("stream", ""))


SOURCE = Mqtt
