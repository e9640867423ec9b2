"""One session with a server, by asyncua: connect, subscribe, write, notice that it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import math
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
        self._names: dict[Any, str] = {}
        self._types: dict[NodeId, Any] = {}
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
        refused: dict[str, str] = {}
        nodes: dict[str, Any] = {}
        for name, row in rows.items():
            try:
                nodes[name] = client.get_node(await self._id(row.node))
            except ValueError as error:
                refused[name] = str(error)
        time_node = client.get_node(self._ua.NodeId(CURRENT_TIME))
        asked = clock.now()
        found = await client.read_attributes([time_node, *nodes.values()])
        answered = clock.now()
        now = (asked + answered) // 2
        server = stamp(found[0].Value.Value) if found[0].StatusCode.is_good() else None
        if server is None:
            server = now
        # a server need not renew its CurrentTime more often than once a second
        self.clock = Clock("device", offset=server - now, uncertainty=NS, synced_at=now)
        first = [self._change(name, value, server) for name, value in zip(nodes, found[1:], strict=True)]
        self._names = {node.nodeid: name for name, node in nodes.items()}
        subscription = await client.create_subscription(1000 * pace.publish, self)
        if nodes:
            handles = await subscription.subscribe_data_change(
                list(nodes.values()), queuesize=pace.depth, sampling_interval=1000 * pace.sampling
            )
            handles = handles if isinstance(handles, list) else [handles]
            for name, handle in zip(nodes, handles, strict=True):
                if not isinstance(handle, int):
                    refused[name] = handle.name
        with contextlib.suppress(self._ua.UaStatusCodeError):
            await subscription.subscribe_data_change(time_node, sampling_interval=1000 * pace.hold)
        first += [Change(name, server, None, BAD) for name in refused if name not in nodes]
        return first, server, refused

    async def _id(self, node: NodeId) -> Any:
        space = node.namespace
        if isinstance(space, str):
            try:
                space = await self._client.get_namespace_index(space)
            except ValueError:
                raise ValueError(f"the server has no namespace {node.namespace}") from None
        return self._ua.NodeId(node.identifier, space)

    def _change(self, name: str, data: Any, fallback: int) -> Change:
        time = stamp(data.SourceTimestamp) or stamp(data.ServerTimestamp) or fallback
        value = None if data.Value is None else data.Value.Value
        return Change(name, time, value, data.StatusCode.value if data.StatusCode is not None else 0)

    # what asyncua calls with what a message brought

    def datachange_notification(self, node: Any, _: Any, data: Any) -> None:
        name = self._names.get(node.nodeid)
        if name is not None:
            fallback = clock.now() + self.clock.offset
            self._pending.append(self._change(name, data.monitored_item.Value, fallback))
        else:
            self.server_time = stamp(data.monitored_item.Value.Value.Value) or 0
        self._event.set()

    def status_change_notification(self, status: Any) -> None:
        self._lost = self._lost or f"the subscription ended: {status.Status.name}"
        self._event.set()

    async def changes(self) -> list[Change]:
        """What came since the last call, at least the server's time. Raises EdgeloopError where the server is gone."""
        await self._event.wait()
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
