"""Machines that speak HTTP: what they answer is polled, what an action says is put or posted."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line
from sensor_ingest.payload.feed import Feed
from sensor_ingest.payload.form import Form, fields
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.http.link import Link, Place, context
from sensor_ingest.sources.http.writes import Write, parse

WRITTEN = 2.0
"""s within which a machine has to say that it did what it was told."""
SHOWN = 5
"""Answers in a row that have to fail before a new run begins."""


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="http"):
    url: Annotated[
        str,
        Meta(title="Address", description="http:// or https://, of what is read; empty: nothing is", max_length=512),
    ] = ""
    poll: Annotated[
        Duration, Meta(title="Poll", description="how often it is read", extra={"ge": "50 ms", "le": "1 d"})
    ] = Duration("1 s")
    answer: Annotated[Form, Meta(title="Answer", description="what an answer is")] = Form()
    timeout: Annotated[
        Duration, Meta(title="Timeout", description="for an answer", extra={"ge": "100 ms", "le": "1 min"})
    ] = Duration("5 s")
    ca: Annotated[str, Meta(title="CA", description="file with the certificates that https:// is believed by")] = ""
    certificate: Annotated[str, Meta(title="Certificate", description="file with the client's certificate")] = ""
    key: Annotated[str, Meta(title="Key", description="file with its private key")] = ""
    headers: Annotated[dict[str, str], Meta(title="Headers", description="of each request; no secrets")] = {}  # noqa: RUF012
    authorization_file: Annotated[
        str, Meta(title="Authorization", description="file whose first line is the header, such as `Bearer …`")
    ] = ""
    writes: Annotated[
        dict[str, str] | str,
        Meta(
            title="Writes",
            description='method, address and body of each of `actions`: `PUT http://drive/speed {"rpm": {value}}`',
        ),
    ] = {}  # noqa: RUF012
    expect: Annotated[Duration, Meta(title="Expect", description="silence of a stream that is a problem; 0: never")] = (
        Duration("0 s")
    )

    def __post_init__(self) -> None:
        if self.url:
            Place.parse(self.url)
        writes = parse(self.writes, self.actions)
        if not self.url and not writes:
            raise ValueError("there is nothing to read or write: give `url`, or `writes` of `actions`")
        places = [Place.parse(self.url)] if self.url else []
        places += [write.place for write in writes.values()]
        if (self.ca or self.certificate or self.key) and not any(place.secure for place in places):
            raise ValueError("certificates need TLS: https://…")
        if self.key and not self.certificate:
            raise ValueError("a key needs its certificate")
        if self.authorization_file and not all(place.secure or place.near for place in places):
            raise ValueError("an `authorization_file` travels only over https://, or on this machine")
        for name, value in self.headers.items():
            if name.lower() in ("authorization", "cookie"):
                raise ValueError(f"headers.{name}: a secret belongs into the `authorization_file`")
            if not name.isascii() or any(c in name + value for c in "\r\n\0") or ":" in name:
                raise ValueError(f"headers.{name[:40]!r} is no header")
        if self.answer.payload == "sparkplug":
            raise ValueError("answer.payload: Sparkplug B comes from a broker: take a source of type mqtt")


class Http(Source[Configuration]):
    """A stream `<id>`: an answer is a message, its time its own or that of the answer."""

    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._writes: dict[str, Write] = parse(configuration.writes, configuration.actions)
        self._feed = Feed(outlet, configuration.expect.seconds)
        self._headers: dict[str, str] = {}
        self._context: Any = None
        self._reading: Link | None = None
        self._writing = threading.Lock()

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        if not configuration.url:
            return {}
        return {id: tuple(f.channel.name for f in fields(configuration.answer)) or None}

    def setup(self) -> None:
        c = self.configuration
        self._headers = {"User-Agent": "edgeloop", "Accept": "*/*"} | c.headers
        if c.authorization_file:
            self._headers["Authorization"] = first_line(c.authorization_file, "authorization file")
        self._context = context(c.ca, c.certificate, c.key)
        if c.url:
            self._reading = Link(Place.parse(c.url), self._headers, self._context)

    def run(self) -> None:
        if self._reading is None:
            self.outlet.clear()
            self.outlet.stop.wait()
            return
        reader = threading.Thread(target=self._read, args=(self._reading,), name=f"http-{self.outlet.id}", daemon=True)
        reader.start()
        self._feed.run()

    def _read(self, link: Link) -> None:
        c, outlet = self.configuration, self.outlet
        began, count, failed = time.monotonic(), 0, 0
        while not outlet.stop.is_set():
            try:
                body, status = link.ask("GET", link.place.target, b"", c.timeout.seconds)
                if not 200 <= status < 300:
                    raise EdgeloopError(f"the machine of {outlet.id} answers {status}", where=str(link.place))
            except EdgeloopError as error:
                failed += 1
                outlet.count("failed_polls")
                if failed >= SHOWN:
                    self._feed.fail(error)
                    return
                outlet.problem(str(error), "poll")
            except Exception as error:
                self._feed.fail(error)
                return
            else:
                if failed:
                    outlet.clear("poll")
                failed = 0
                outlet.clear()
                self._feed.take(outlet.id, c.answer, body, clock.now())
            count = max(count + 1, int((time.monotonic() - began) / c.poll.seconds))
            outlet.stop.wait(max(0.0, began + count * c.poll.seconds - time.monotonic()))

    def interrupt(self) -> None:
        self._feed.wake()
        if self._reading is not None:
            self._reading.close()

    def write(self, target: str, value: float) -> None:
        self.carry(target, value, MappingProxyType({}))

    def carry(self, target: str, value: float, cause: Mapping[str, Any]) -> None:
        wanted = self._writes.get(target)
        if wanted is None:
            raise EdgeloopError(f"{target} has no address", where=self.outlet.id, mend="name it in `writes`")
        body = wanted.body(value, cause)
        kind = "application/json" if body[:1] in (b"{", b"[") else "text/plain; charset=utf-8"
        link = Link(wanted.place, self._headers | {"Content-Type": kind}, self._context)
        with self._writing:
            try:
                _, status = link.ask(wanted.method, wanted.target(value, cause), body, WRITTEN)
            finally:
                link.close()
        if not 200 <= status < 300:
            raise EdgeloopError(
                f"{target} was refused", where=str(wanted.place), why=f"the machine answers {status}",
                mend="it takes 200 to 299 for done",
            )  # fmt: skip

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()


SOURCE = Http
