"""Variables below the folder Objects, by browsing."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop_tools.probe.pace import Pace
from edgeloop_tools.probe.section import Proposal, names
from sensor_ingest.sources.opcua.nodes import NodeId, Row

PURPOSE = "probing an OPC UA server"
OBJECTS, SERVER = 85, 2253
"""Nodes of namespace 0 (OPC 10000-5, 8.2.2 and 8.3.2)."""
MOST: Final = 500
"""Variables of a proposal."""
DEEPEST: Final = 12
PORTION: Final = 100
ELEMENTS: Final = 8
"""Of an array."""


def probe(id: str, url: str, timeout: float, say: Callable[[str], None]) -> Proposal:
    """Anonymous and unsigned, as the server's browsing allows. Raises EdgeloopError."""
    return asyncio.run(_probe(id, url, timeout, say))


async def _probe(id: str, url: str, timeout: float, say: Callable[[str], None]) -> Proposal:
    asyncua = optional.load("asyncua", PURPOSE)
    ua, pace = asyncua.ua, Pace()
    client = asyncua.Client(url, timeout=timeout)
    client.name = client.description = "edgeloop probe"
    try:
        await client.connect()
    except (ua.UaError, OSError, ValueError) as error:
        mend = "a server that wants signed messages or a user is set up by hand: see the README of the source"
        why = str(error) or type(error).__name__
        raise EdgeloopError("cannot connect", where=url, why=why, mend=mend) from None
    made = Proposal(id, {"type": "opcua", "url": url, "nodes": {}}, "nodes")
    try:
        spaces = list(await client.get_namespace_array())
        found, more = await _browse(client, ua, pace, say)
        values = await _values(client, ua, pace, [node for _, node in found])
        _fill(made, ua, spaces, found, values)
        if more:
            made.notes.append(f"only the first {MOST} variables were looked at")
    except (ua.UaError, OSError) as error:
        raise EdgeloopError("the server refuses to be browsed", where=url, why=str(error)) from None
    finally:
        await client.disconnect()
    made.notes.append(f"{pace.requests} requests, reading only")
    return made


async def _browse(client: Any, ua: Any, pace: Pace, say: Callable[[str], None]) -> tuple[list[tuple[str, Any]], bool]:
    """(path, node id) of variables, and whether there are more."""
    waiting: list[tuple[str, Any, int]] = [("", ua.NodeId(OBJECTS), 0)]
    seen = {ua.NodeId(OBJECTS), ua.NodeId(SERVER)}
    found: list[tuple[str, Any]] = []
    while waiting:
        path, node, depth = waiting.pop(0)
        await asyncio.sleep(pace.due())
        below = await client.get_node(node).get_children_descriptions()
        say(f"{path or 'Objects'}: {len(below)} nodes")
        for entry in below:
            child = ua.NodeId(entry.NodeId.Identifier, entry.NodeId.NamespaceIndex)
            if child in seen:
                continue
            seen.add(child)
            name = f"{path} {entry.BrowseName.Name}".strip()
            if entry.NodeClass == ua.NodeClass.Variable and child.NamespaceIndex:
                if len(found) >= MOST:
                    return found, True
                found.append((name, child))
            elif entry.NodeClass == ua.NodeClass.Object and depth < DEEPEST:
                waiting.append((name, child, depth + 1))
    return found, False


async def _values(client: Any, ua: Any, pace: Pace, nodes: list[Any]) -> list[Any]:
    found: list[Any] = []
    size = PORTION
    while len(found) < len(nodes):
        await asyncio.sleep(pace.due())
        part = [client.get_node(node) for node in nodes[len(found) : len(found) + size]]
        try:
            found += await client.read_attributes(part)
        except ua.UaStatusCodeError:
            if size == 1:
                raise
            size //= 2
    return found


def _fill(made: Proposal, ua: Any, spaces: list[str], found: list[tuple[str, Any]], values: list[Any]) -> None:
    nodes = made.entry["nodes"]
    left: dict[str, int] = {}
    shown = names([path.rpartition(" ")[2] for path, _ in found])
    for name, (_, node), data in zip(shown, found, values, strict=True):
        space = spaces[node.NamespaceIndex] if node.NamespaceIndex < len(spaces) else node.NamespaceIndex
        place = NodeId(node.Identifier, space)
        if data.StatusCode is not None and not data.StatusCode.is_good():
            left[data.StatusCode.name] = left.get(data.StatusCode.name, 0) + 1
            continue
        value = data.Value.Value if data.Value is not None else None
        items = value[:ELEMENTS] if isinstance(value, list) else [value]
        for at, item in enumerate(items):
            kind = _kind(item)
            if kind is None:
                left[type(item).__name__] = left.get(type(item).__name__, 0) + 1
                continue
            own = f"{name}_{at}"[-32:] if isinstance(value, list) else name
            row = Row(own, place, kind, index=(at,) if isinstance(value, list) else ())  # type: ignore[arg-type]
            nodes[own] = str(row)
            made.seen[own] = f"{item}"
    if left:
        made.notes.append("left out: " + ", ".join(f"{n} × {what}" for what, n in sorted(left.items())))
    made.notes.append("Units are not told by most servers: set them, and labels of enumerations, by hand.")


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float | datetime.datetime):
        return "number"
    return "string" if isinstance(value, str) else None
