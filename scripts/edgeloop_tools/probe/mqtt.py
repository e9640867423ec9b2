"""Topics that speak while somebody listens."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop_tools.probe.payloads import form
from edgeloop_tools.probe.section import Proposal, names
from sensor_ingest.sources.mqtt import address
from sensor_ingest.sources.mqtt.address import Address

PURPOSE = "probing a broker"
MOST: Final = 64
"""Topics of a proposal."""
KEPT: Final = 20
"""Payloads of a topic that are looked at, the newest."""
HEARD: Final = 5_000
"""Topics that are counted."""
_PATIENCE = 10.0


def probe(
    id: str, broker: str, topics: str, seconds: float, given: Mapping[str, str], say: Callable[[str], None]
) -> Proposal:
    """given: ca, certificate, key, username, password_file, as the source has them. Raises EdgeloopError."""
    where = Address.parse(broker)
    heard = _listen(where, topics, seconds, given, say)
    made = Proposal(id, {"type": "mqtt", "broker": broker, **given, "topics": {}}, "topics")
    plain = {topic: said for topic, said in heard.items() if not topic.startswith("spBv1.0/")}
    if len(plain) < len(heard):
        made.entry["topics"]["sparkplug"] = {"filter": "spBv1.0/#", "payload": "sparkplug"}
        made.seen["sparkplug"] = f"{len(heard) - len(plain)} topics of Sparkplug B"
    odd = []
    for name, (topic, said) in zip(names(list(plain)), sorted(plain.items()), strict=True):
        found = form(said)
        if found is None:
            odd.append(f"{topic} ({said[-1][:24]!r})")
        elif len(made.entry["topics"]) < MOST:
            made.entry["topics"][name] = {"filter": topic, "stream": name, **found[0]}
            made.seen[name] = found[1]
    if odd:
        made.notes.append(_one(f"{len(odd)} topics whose payload no form reads by itself: {', '.join(odd[:5])}"))
    left = len(plain) - len(odd) - len(made.entry["topics"])
    if left > 0:
        made.notes.append(f"{left} more topics: a wildcard, such as plant/+/state, takes many with one entry")
    made.notes.append(f"heard {sum(map(len, heard.values()))} messages of {len(heard)} topics in {seconds:g} s")
    return made


def _listen(
    where: Address, topics: str, seconds: float, given: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, list[bytes]]:
    mqtt = optional.load("paho.mqtt.client", PURPOSE)
    heard: dict[str, list[bytes]] = {}
    subscribed, lock = threading.Event(), threading.Lock()
    refused: list[str] = []

    def connected(client: Any, userdata: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            refused.append(str(code))
            subscribed.set()
        else:
            client.subscribe(topics, 0)

    def took(client: Any, userdata: Any, number: int, codes: Any, properties: Any) -> None:
        refused.extend(str(code) for code in codes if code.is_failure)
        subscribed.set()

    def message(client: Any, userdata: Any, message: Any) -> None:
        with lock:
            if message.topic in heard or len(heard) < HEARD:
                said = heard.setdefault(message.topic, [])
                said.append(bytes(message.payload))
                del said[:-KEPT]

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="", clean_session=True, reconnect_on_failure=False)
    client.connect_timeout = _PATIENCE
    client.on_connect, client.on_subscribe, client.on_message = connected, took, message
    if given.get("username"):
        file = given.get("password_file")
        client.username_pw_set(given["username"], address.secret(file) if file else None)
    if where.secure:
        client.tls_set_context(address.context(*(given.get(k, "") for k in ("ca", "certificate", "key"))))
    try:
        client.connect(where.host, where.port)
    except ssl.SSLError as error:
        mend = "check --ca and its host name"
        raise EdgeloopError("does not pass the TLS handshake", where=str(where), why=str(error), mend=mend) from None
    except (OSError, ValueError) as error:
        raise EdgeloopError("cannot be reached", where=str(where), why=str(error)) from None
    client.loop_start()
    try:
        if not subscribed.wait(_PATIENCE):
            raise EdgeloopError("the broker does not answer", where=str(where))
        if refused:
            mend = "name a --username and --password-file, or a --filter that it may read"
            raise EdgeloopError("the broker refuses", where=str(where), why=refused[0], mend=mend)
        say(f"listening to {topics} for {seconds:g} s")
        threading.Event().wait(seconds)
    except KeyboardInterrupt:
        say("interrupted: what was heard so far")
    finally:
        client.disconnect()
        client.loop_stop()
    with lock:
        return heard


def _one(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
