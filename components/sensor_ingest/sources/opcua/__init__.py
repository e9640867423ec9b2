"""OPC UA servers: subscriptions with source time stamps and status codes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import TimeoutError as Late
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from edgeloop import clock
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.secret import Arn
from edgeloop.sequence import Chunk, Stream
from edgeloop.wire.batch import Channel
from sensor_ingest.payload.numerals import words
from sensor_ingest.sources import entries
from sensor_ingest.sources.base import Foreseen, Outlet, Source, SourceConfiguration
from sensor_ingest.sources.opcua.nodes import Row, parse
from sensor_ingest.sources.opcua.rows import Rows
from sensor_ingest.sources.opcua.session import Pace, Security, Session

SHOWN = 3
"""Nodes that a line names; the rest is counted."""


class Configuration(SourceConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="opcua"):
    url: Annotated[str, Meta(title="Address", description="opc.tcp://host:4840/path")]
    nodes: Annotated[
        dict[str, str] | str,
        Meta(title="Nodes", description="what is read, by name: `ns=2;s=Press.OilTemp Cel`; or one text, a row a line"),
    ] = {}  # noqa: RUF012
    nodes_file: Annotated[str, Meta(title="Nodes file", description="a file with more rows")] = ""
    writes: Annotated[
        dict[str, str] | str,
        Meta(title="Writes", description="rows of targets of `actions` that are not among the nodes"),
    ] = {}  # noqa: RUF012
    words: Annotated[
        dict[str, str] | str,
        Meta(title="Words", description="texts of nodes that stand for a number, or none: `ON=1, OFF=0, Bad=none`"),
    ] = {}  # noqa: RUF012
    verify: Annotated[bool, Meta(title="Verify", description="read back what was written")] = False
    publish: Annotated[
        Duration,
        Meta(title="Publish", description="least time between two messages", extra={"ge": "10 ms", "le": "1 h"}),
    ] = Duration("500 ms")
    sampling: Annotated[
        Duration,
        Meta(title="Sampling", description="how often the server looks at a value; 0: as fast as it can"),
    ] = Duration("100 ms")
    depth: Annotated[
        int, Meta(title="Depth", description="changes of a node that the server holds for a message", ge=1, le=10_000)
    ] = 20
    hold: Annotated[
        Duration,
        Meta(title="Hold", description="a row about this often though nothing changes", extra={"ge": "100 ms"}),
    ] = Duration("1 s")
    timeout: Annotated[
        Duration, Meta(title="Timeout", description="for an answer", extra={"ge": "100 ms", "le": "1 min"})
    ] = Duration("5 s")
    security: Annotated[
        Literal["none", "sign", "sign_and_encrypt"], Meta(title="Security", description="of the messages")
    ] = "none"
    policy: Annotated[
        Literal["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"],
        Meta(title="Policy", description="cryptography of the messages"),
    ] = "Basic256Sha256"
    certificate: Annotated[str, Meta(title="Certificate", description="file of this client's certificate")] = ""
    key: Annotated[str, Meta(title="Key", description="file of its private key")] = ""
    server_certificate: Annotated[
        str, Meta(title="Server certificate", description="the one to trust; empty: the first that is seen")
    ] = ""
    user: Annotated[str, Meta(title="User", description="user name; empty: anonymous")] = ""
    password_file: Annotated[str, Meta(title="Password file", description="a file that holds its password")] = ""
    password_secret: Annotated[
        Arn, Meta(title="Password secret", description="in its place, on classic: the ARN in Secrets Manager")
    ] = ""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme == "opc.tcp" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{self.url!r} is no address, such as opc.tcp://host:4840")
        if parts.username or parts.password:
            raise ValueError("the address holds a user name: use `user` and `password_file`")
        if self.security != "none" and not (self.certificate and self.key):
            raise ValueError("signed messages need a `certificate` and its `key`")
        if bool(self.user) != bool(self.password_file or self.password_secret):
            raise ValueError("`user` and `password_file` (or `password_secret`) belong together")
        if self.password_file and self.password_secret:
            raise ValueError("the password is in a file or in Secrets Manager: one of them")
        if self.user and self.security != "sign_and_encrypt":
            raise ValueError("a password travels only in `security: sign_and_encrypt`")
        words(self.words)
        rows = entries.parse(self.nodes, parse, "nodes")
        if not rows and not self.nodes_file:
            raise ValueError("there are no nodes: give `nodes` or a `nodes_file`")
        writes = entries.parse(self.writes, parse, "writes")
        if not self.nodes_file:
            targets(self.actions, rows, writes)


def targets(actions: Mapping[str, object], rows: Mapping[str, Row], writes: Mapping[str, Row]) -> dict[str, Row]:
    """Where each target of the allow-list is. Raises ValueError."""
    found = {}
    for name in actions:
        row = writes.get(name) or rows.get(name)
        if row is None:
            raise ValueError(f"actions.{name}: no row of `writes` or `nodes` has this name")
        if row.kind == "string":
            raise ValueError(f"actions.{name}: a string cannot be written")
        found[name] = row
    for name in writes:
        if name not in actions:
            raise ValueError(f"writes.{name}: `actions` does not have it")
    return found


class OpcUa(Source[Configuration]):
    """Streams `<id>`, `<id>_state` and `<id>_status`: see rows.Rows. Its event loop runs in the source's thread."""

    options = Configuration

    def __init__(self, configuration: Configuration, outlet: Outlet) -> None:
        super().__init__(configuration, outlet)
        self._nodes: dict[str, Row] = {}
        self._targets: dict[str, Row] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._session: Session | None = None
        self._ending: asyncio.Event | None = None
        self._bad: dict[str, str] = {}

    @classmethod
    def foresee(cls, id: str, configuration: Configuration) -> Foreseen:
        if configuration.nodes_file:
            return None
        rows = entries.parse(configuration.nodes, parse, "nodes").values()
        names = {
            id: tuple(row.name for row in rows if row.kind == "number"),
            f"{id}_state": tuple(row.name for row in rows if row.kind != "number"),
            f"{id}_status": tuple(row.name for row in rows),
        }
        return {stream: columns for stream, columns in names.items() if columns}

    def setup(self) -> None:
        c = self.configuration
        try:
            rows = entries.parse(c.nodes, parse, "nodes")
            if c.nodes_file:
                rows |= entries.parse(entries.read(c.nodes_file), parse, c.nodes_file)
            self._targets = targets(c.actions, rows, entries.parse(c.writes, parse, "writes"))
        except ValueError as error:
            raise EdgeloopError(f"the nodes of {self.outlet.id} are wrong", why=str(error)) from None
        self._nodes = rows
        numbers = tuple(Channel(row.name, row.unit) for row in rows.values() if row.kind == "number")
        streams = [Stream(f"{self.outlet.id}_status")]
        if numbers:
            streams.append(Stream(self.outlet.id, numbers))
        if len(numbers) < len(rows):
            streams.append(Stream(f"{self.outlet.id}_state"))
        self.outlet.declare(*streams)

    def run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        c = self.configuration
        self._ending = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self.outlet.stop.is_set():
            return
        pace = Pace(c.publish.seconds, c.sampling.seconds, c.hold.seconds, c.timeout.seconds, c.depth)
        secret = c.password_file or c.password_secret
        security = Security(c.security, c.policy, c.certificate, c.key, c.server_certificate, c.user, secret)
        session = Session(c.url, security, pace, self.outlet.state)
        work = asyncio.create_task(self._follow(session))
        ending = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait((work, ending), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self._session = None
            for task in (work, ending):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError, EdgeloopError):
                await work
            await session.close()

    async def _follow(self, session: Session) -> None:
        await session.open()
        if session.remembered:
            self.outlet.log(f"the certificate of {self.configuration.url} is trusted: SHA-256 {session.remembered}")
        rows = Rows(self.outlet.id, self._nodes, words(self.configuration.words))
        first, now, refused = await session.start(self._nodes)
        self._put(rows.start(first, now, session.clock))
        self._tell(rows, refused, session)
        self._session = session
        hold = int(self.configuration.hold) * 3 // 4
        late = odd = 0
        try:
            while True:
                changes = await session.changes()
                again = await session.retry()
                if again is not None:
                    found, still = again
                    refused = {name: why for name, why in refused.items() if name in still} | still
                    changes = [*changes, *(change for change in found if change.name not in still)]
                going = self._put(rows.add(changes, session.clock)) if changes else True
                if session.server_time - rows.newest >= hold:
                    going = self._put(rows.hold(session.server_time, session.clock))
                if not going:
                    return
                if changes:
                    self._tell(rows, refused, session)
                if rows.late > late:
                    self.outlet.count("late_values", rows.late - late)
                    late = rows.late
                if session.odd_times > odd:
                    self.outlet.count("odd_times", session.odd_times - odd)
                    if not odd:
                        name = session.odd_time
                        self.outlet.log(f"{name} ({session.shown(self._nodes[name].node)}) has a time that cannot be: "
                                        "the server's is taken")  # fmt: skip
                    odd = session.odd_times
        except EdgeloopError:
            self._put(rows.lose(clock.now() + session.clock.offset, session.clock))
            raise

    def _put(self, chunks: list[Chunk]) -> bool:
        return not [chunk for chunk in chunks if not self.outlet.put(chunk)]

    def _tell(self, rows: Rows, refused: Mapping[str, str], session: Session) -> None:
        bad = {name: refused.get(name) or session.status_name(code) for name, code in rows.bad.items()}
        new = [name for name in bad if name not in self._bad]
        if new:
            self.outlet.count("bad_values", len(new))
        if bad == self._bad:
            return
        self._bad = bad
        if not bad:
            self.outlet.clear("nodes")
            return
        shown = ", ".join(
            f"{name} ({session.shown(self._nodes[name].node)}): {why}" for name, why in list(bad.items())[:SHOWN]
        )
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        self.outlet.problem(f"{len(bad)} of {len(self._nodes)} nodes have no value: {shown}{more}", "nodes")

    def write(self, target: str, value: float) -> None:
        loop, session, row = self._loop, self._session, self._targets.get(target)
        if loop is None or session is None or row is None:
            raise EdgeloopError(f"{target} cannot be written", where=self.outlet.id, why="it is not connected")
        coroutine = session.write(row, value, self.configuration.verify)
        try:
            done = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:
            coroutine.close()
            raise EdgeloopError(
                f"{target} cannot be written", where=self.outlet.id, why="it is not connected"
            ) from None
        try:
            done.result(3 * self.configuration.timeout.seconds)
        except (Late, asyncio.CancelledError):
            done.cancel()
            raise EdgeloopError(f"{target} cannot be written", where=self.outlet.id, why="no answer") from None

    def interrupt(self) -> None:
        loop, ending = self._loop, self._ending
        if loop is not None and ending is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(ending.set)


SOURCE = OpcUa
