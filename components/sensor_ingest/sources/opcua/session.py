"""One session with a server, by asyncua: connect, subscribe, write, notice that it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from edgeloop import clock, optional
from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Clock
from sensor_ingest.sources.opcua import trust
from sensor_ingest.sources.opcua.nodes import NodeId, Row
from sensor_ingest.sources.opcua.rows import BAD, Change

PURPOSE = "an OPC UA source"
CURRENT_TIME = 2258
"""i= of Server_ServerStatus_CurrentTime (OPC 10000-6, annex A)."""
NODES_PER_READ, ITEMS_PER_CALL = 11705, 11714
"""i= of MaxNodesPerRead and MaxMonitoredItemsPerCall of the server's operation limits."""
PORTION = 500
"""Nodes of one call where the server says nothing, and at most."""
RETRY = 5.0
"""s after which nodes that could not be had are asked for again."""
OLDEST, AHEAD = 315_532_800 * NS, 2 * NS
"""ns: 1980, and how far a source may be ahead of its server."""
_TOO_MANY = ("BadTooManyOperations", "BadTooManyMonitoredItems", "BadEncodingLimitsExceeded", "BadResponseTooLarge")
_UNKNOWN = {0x80330000, 0x80340000}
"""BadNodeIdInvalid, BadNodeIdUnknown."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGERS = {
    "SByte": (-(2**7), 2**7 - 1), "Byte": (0, 2**8 - 1), "Int16": (-(2**15), 2**15 - 1), "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1), "UInt32": (0, 2**32 - 1), "Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1),
}  # fmt: skip
_LARGEST_FLOAT = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Security:
    """How a server is talked to. mode: none, sign, sign_and_encrypt; certificate, key, pinned: files (PEM or DER)."""

    mode: str = "none"
    policy: str = "Basic256Sha256"
    certificate: str = ""
    key: str = ""
    pinned: str = ""
    user: str = ""
    password_file: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """s: between two messages, between two looks at a value, for an answer; depth: values held between two messages."""

    publish: float
    sampling: float
    hold: float
    timeout: float
    depth: int


def stamp(moment: datetime | None) -> int | None:
    """ns UTC of a DateTime.

    >>> stamp(datetime(1970, 1, 1, 0, 0, 1, 5))
    1000005000
    """
    if moment is None:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


class Session:
    """Changes come in `changes`, one list for each message; everything runs in one event loop."""

    def __init__(self, url: str, security: Security, pace: Pace, state: Path) -> None:
        self._asyncua = optional.load("asyncua", PURPOSE)
        self._ua = self._asyncua.ua
        self._url, self._security, self._pace, self._state = url, security, pace, state
        self._client: Any = None
        self._names: dict[Any, list[str]] = {}
        self._types: dict[NodeId, Any] = {}
        self._subscription: Any = None
        self._spaces: list[str] = []
        self._portions = [PORTION, PORTION]
        self._waiting: dict[str, Row] = {}
        self._asked = self._heard = time.monotonic()
        self._watched = False
        self.odd_times = 0
        """Times of sources that cannot be: the server's was taken."""
        self.odd_time = ""
        self._pending: list[Change] = []
        self._lost = ""
        self._event = asyncio.Event()
        self.clock = Clock("device")
        self.server_time = 0
        """ns UTC: the server's clock, where it told since the last look."""
        self.remembered = ""
        """Fingerprint of a certificate that is trusted from now on."""

    async def open(self) -> None:
        """Raises EdgeloopError."""
        try:
            await self._open()
        except (self._ua.UaError, OSError, ValueError) as error:
            raise EdgeloopError("cannot connect", where=self._url, why=self._why(error)) from None

    async def _open(self) -> None:
        client = self._asyncua.Client(
            self._url, timeout=self._pace.timeout, watchdog_intervall=self._pace.timeout, auto_reconnect=False
        )
        client.name = client.description = "edgeloop"
        client.connection_lost_callback = self._gone
        self._client = client
        if self._security.mode != "none":
            await self._secure(client)
        if self._security.user:
            client.set_user(self._security.user)
            client.set_password(trust.password(self._security.password_file))
        await client.connect()

    async def _secure(self, client: Any) -> None:
        s = self._security
        crypto = optional.load("asyncua.crypto.uacrypto", PURPOSE)
        policies = optional.load("asyncua.crypto.security_policies", PURPOSE)
        policy = getattr(policies, f"SecurityPolicy{s.policy}")
        mode = self._ua.MessageSecurityMode.Sign if s.mode == "sign" else self._ua.MessageSecurityMode.SignAndEncrypt
        for path, what in ((s.certificate, "certificate"), (s.key, "key"), (s.pinned, "server's certificate")):
            if path:
                trust.read(path, what)
        endpoints = await client.connect_and_get_server_endpoints()
        offered = client.find_endpoint(endpoints, mode, policy.URI).ServerCertificate
        server = crypto.der_from_x509(crypto.x509_from_der(offered))
        pinned = crypto.der_from_x509(await crypto.load_certificate(s.pinned)) if s.pinned else None
        if trust.check(server, pinned, self._url, self._state):
            self.remembered = trust.fingerprint(server)
        own = await crypto.load_certificate(s.certificate)
        client.application_uri = trust.application(own) or client.application_uri
        await client.set_security(policy, s.certificate, s.key, server_certificate=server, mode=mode)

    async def _gone(self, error: Exception) -> None:
        self._lost = self._lost or self._why(error)
        self._event.set()

    async def start(self, rows: Mapping[str, Row]) -> tuple[list[Change], int, dict[str, str]]:
        """Subscribes: what the nodes hold, the server's time (ns UTC), and which nodes cannot be had, and why."""
        try:
            return await self._start(rows)
        except (self._ua.UaError, OSError) as error:
            raise EdgeloopError("cannot subscribe", where=self._url, why=self._why(error)) from None

    async def _start(self, rows: Mapping[str, Row]) -> tuple[list[Change], int, dict[str, str]]:
        client, pace = self._client, self._pace
        await self._learn(rows)
        time_node = client.get_node(self._ua.NodeId(CURRENT_TIME))
        asked = clock.now()
        found = await client.read_attributes([time_node])
        now = (asked + clock.now()) // 2
        server = stamp(found[0].Value.Value) if found[0].StatusCode.is_good() else None
        if server is None:
            server = now
        # a server need not renew its CurrentTime more often than once a second
        self.clock = Clock("device", offset=server - now, uncertainty=NS, synced_at=now)
        self._subscription = await client.create_subscription(1000 * pace.publish, self)
        with contextlib.suppress(self._ua.UaStatusCodeError):
            await self._subscription.subscribe_data_change(time_node, sampling_interval=1000 * pace.hold)
            self._watched = True
        first, refused = await self._follow(rows)
        self._heard = time.monotonic()
        return first, server, refused

    async def _learn(self, rows: Mapping[str, Row]) -> None:
        """What the server takes in one call, its namespaces, and its structures where a row names a field."""
        client = self._client
        limits = [client.get_node(self._ua.NodeId(number)) for number in (NODES_PER_READ, ITEMS_PER_CALL)]
        with contextlib.suppress(self._ua.UaStatusCodeError):
            found = await client.read_attributes(limits)
            said = [v.Value.Value if v.StatusCode.is_good() and v.Value is not None else 0 for v in found]
            self._portions = [min(int(n), PORTION) if n else PORTION for n in said]
        if any(row.field for row in rows.values()):
            with contextlib.suppress(Exception):
                await client.load_data_type_definitions()

    async def _follow(self, rows: Mapping[str, Row]) -> tuple[list[Change], dict[str, str]]:
        """Reads nodes and has their changes told; what they hold, and which cannot be had, and why."""
        refused: dict[str, str] = {}
        nodes: dict[str, Any] = {}
        self._spaces = list(await self._client.get_namespace_array())
        for name, row in rows.items():
            try:
                nodes[name] = self._client.get_node(await self._id(row.node))
            except ValueError as error:
                refused[name] = str(error)
        first = [Change(name, clock.now() + self.clock.offset, None, BAD) for name in refused]
        found = await self._in_portions(0, list(nodes.values()), self._client.read_attributes)
        for name, value in zip(nodes, found, strict=True):
            if value.StatusCode is not None and value.StatusCode.value in _UNKNOWN:
                refused[name] = value.StatusCode.name
            first.append(self._change(name, value))
        known = {name: node for name, node in nodes.items() if name not in refused}
        for name, node in known.items():
            self._names.setdefault(node.nodeid, []).append(name)
        single = {node.nodeid: node for node in known.values()}
        handles = await self._in_portions(1, list(single.values()), self._subscribe)
        by_node = dict(zip(single, handles, strict=True))
        for name, node in known.items():
            handle = by_node[node.nodeid]
            if not isinstance(handle, int):
                refused[name] = handle.name
                self._names[node.nodeid].remove(name)
        self._waiting = {name: rows[name] for name in refused}
        return first, refused

    async def _subscribe(self, nodes: list[Any]) -> list[Any]:
        handles = await self._subscription.subscribe_data_change(
            nodes, queuesize=self._pace.depth, sampling_interval=1000 * self._pace.sampling
        )
        return handles if isinstance(handles, list) else [handles]

    async def _in_portions(self, what: int, nodes: list[Any], call: Any) -> list[Any]:
        """As many at once as the server takes, fewer where it objects."""
        found: list[Any] = []
        while len(found) < len(nodes):
            size = self._portions[what]
            try:
                found += await call(nodes[len(found) : len(found) + size])
            except self._ua.UaStatusCodeError as error:
                if size <= 1 or self._ua.StatusCode(error.code).name not in _TOO_MANY:
                    raise
                self._portions[what] = size // 2
        return found

    async def retry(self) -> tuple[list[Change], dict[str, str]] | None:
        """Asks again, every some seconds, for nodes that could not be had; None where it is not time."""
        if not self._waiting or time.monotonic() - self._asked < RETRY:
            return None
        self._asked = time.monotonic()
        try:
            return await self._follow(dict(self._waiting))
        except (self._ua.UaError, OSError) as error:
            raise EdgeloopError("cannot subscribe", where=self._url, why=self._why(error)) from None

    def shown(self, node: NodeId) -> str:
        """A node, its namespace by its URI."""
        space = node.namespace
        if isinstance(space, int) and 0 < space < len(self._spaces):
            return str(NodeId(node.identifier, self._spaces[space]))
        return str(node)

    async def _id(self, node: NodeId) -> Any:
        space = node.namespace
        if isinstance(space, str):
            if space not in self._spaces:
                raise ValueError(f"the server has no namespace {node.namespace}")
            space = self._spaces.index(space)
        return self._ua.NodeId(node.identifier, space)

    def _change(self, name: str, data: Any) -> Change:
        now = clock.now() + self.clock.offset
        status = data.StatusCode.value if data.StatusCode is not None else 0
        moment = stamp(data.SourceTimestamp)
        if moment is None or not OLDEST < moment <= now + AHEAD:
            if moment is not None:
                self.odd_times += 1
                self.odd_time = name
            moment = stamp(data.ServerTimestamp)
        if moment is None or not OLDEST < moment <= now + AHEAD:
            moment = now
        return Change(name, moment, None if data.Value is None else data.Value.Value, status)

    # what asyncua calls with what a message brought

    def datachange_notification(self, node: Any, _: Any, data: Any) -> None:
        names = self._names.get(node.nodeid)
        self._heard = time.monotonic()
        if names is not None:
            self._pending += [self._change(name, data.monitored_item.Value) for name in names]
        else:
            self.server_time = stamp(data.monitored_item.Value.Value.Value) or 0
        self._event.set()

    def status_change_notification(self, status: Any) -> None:
        self._lost = self._lost or f"the subscription ended: {status.Status.name}"
        self._event.set()

    async def changes(self) -> list[Change]:
        """What came since the last call, at least the server's time; nothing where it is time to look after nodes that
        lack. Raises EdgeloopError where the server or its subscription is gone."""
        pace = self._pace
        silence = max(4 * pace.hold, 4 * pace.publish, 2.0) + pace.timeout
        try:
            await asyncio.wait_for(self._event.wait(), min(silence, RETRY) if self._waiting else silence)
        except TimeoutError:
            if self._watched and time.monotonic() - self._heard >= silence:
                self._lost = self._lost or f"the subscription says nothing, not even the time, for {silence:g} s"
        self._event.clear()
        if self._lost:
            raise EdgeloopError("the connection was lost", where=self._url, why=self._lost)
        found, self._pending = self._pending, []
        return found

    async def write(self, row: Row, value: float, verify: bool) -> None:
        """Raises EdgeloopError."""
        try:
            node = self._client.get_node(await self._id(row.node))
            if row.node not in self._types:
                self._types[row.node] = await node.read_data_type_as_variant_type()
            kind = self._types[row.node]
            wanted = encode(row, value, kind.name)
            await node.write_attribute(self._ua.AttributeIds.Value, self._ua.DataValue(self._ua.Variant(wanted, kind)))
            found = await node.read_value() if verify else wanted
        except (self._ua.UaError, OSError, ValueError) as error:
            raise EdgeloopError(f"{row.name} cannot be written", where=str(row.node), why=self._why(error)) from None
        if found != wanted and not (kind.name == "Float" and math.isclose(found, wanted, rel_tol=1e-6)):
            raise EdgeloopError(
                f"{row.name} does not hold what was written",
                where=str(row.node),
                why=f"{wanted} was written, {found} is there",
            )

    async def close(self) -> None:
        """Takes leave where the server is there."""
        if self._client is None:
            return
        if not self._lost:
            with contextlib.suppress(self._ua.UaError, OSError):
                await asyncio.wait_for(self._client.disconnect(), self._pace.timeout)
        self._client.disconnect_socket()

    def status_name(self, code: int) -> str:
        """Such as BadSensorFailure."""
        if code & 0xC0000000:
            return str(self._ua.StatusCode(code).name)
        return "its value is of another type than the row says"

    def _why(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return "no answer"
        if isinstance(error, self._ua.UaStatusCodeError):
            return f"{self._ua.StatusCode(error.code).name}"
        if isinstance(error, OSError) and error.errno is not None:
            return error.strerror or str(error)
        return str(error) or type(error).__name__


def encode(row: Row, value: float, kind: str) -> bool | int | float:
    """A value as a node of a type takes it. Raises EdgeloopError where the type cannot hold it."""
    raw = (value - row.offset) / row.scale
    if not math.isfinite(raw):
        raise EdgeloopError(f"{value:g} cannot be written to {row.name}")
    if kind == "Boolean":
        if raw not in (0, 1):
            raise EdgeloopError(f"{value:g} cannot be written to {row.name}", why="it is 0 or 1")
        return bool(raw)
    if kind in _INTEGERS:
        low, high = _INTEGERS[kind]
        if not low <= round(raw) <= high:
            raise EdgeloopError(f"{value:g} does not fit into {row.name}", why=f"it is {kind}")
        return round(raw)
    if kind == "Double" or (kind == "Float" and abs(raw) <= _LARGEST_FLOAT):
        return raw
    why = f"it is {kind}" + ("" if kind == "Float" else ", no number")
    raise EdgeloopError(f"{value:g} does not fit into {row.name}", why=why)
