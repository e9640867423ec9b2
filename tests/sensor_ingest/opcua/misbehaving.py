"""An OPC UA server that does what the field's do, in a process: `misbehaving.py <port> [manner=number…] <folder>`.

late: the nodes are there once there is a file `go`. most: of one Read or CreateMonitoredItems. nodes: how many.
odd_time: s after which a node is written with the year 9999. drop: s after which subscriptions are gone without a word.
structures: there are some.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua as types
from asyncua.common.structures104 import new_struct, new_struct_field
from asyncua.server.server import Server

ua: Any = types


def limited(service: Any, most: int, field: str) -> Any:
    async def call(params: Any, *rest: Any) -> Any:
        if len(getattr(params, field)) > most:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)
        return await service(params, *rest)

    return call


async def structures(server: Server, space: int) -> None:
    """A structure with one in it, one with an array, and an enumeration, of the server's own types."""
    inner, _ = await new_struct(server, space, "Bearing", [
        new_struct_field("temp", ua.VariantType.Double), new_struct_field("hours", ua.VariantType.UInt32),
    ])  # fmt: skip
    await server.load_data_type_definitions()
    outer, _ = await new_struct(server, space, "Spindle", [
        new_struct_field("rpm", ua.VariantType.Float), new_struct_field("front", inner),
        new_struct_field("loads", ua.VariantType.Double, array=True), new_struct_field("name", ua.VariantType.String),
    ])  # fmt: skip
    await server.load_data_type_definitions()
    value = ua.Spindle()
    value.rpm, value.front, value.loads, value.name = 1200.5, ua.Bearing(), [1.0, 2.0, 3.0], "S 1"
    value.front.temp, value.front.hours = 61.5, 1234
    await server.nodes.objects.add_variable(
        ua.NodeId("Spindle", space), f"{space}:Spindle", ua.Variant(value, ua.VariantType.ExtensionObject),
        datatype=outer.nodeid,
    )  # fmt: skip
    await server.nodes.objects.add_variable(
        ua.NodeId("Spindles", space), f"{space}:Spindles", ua.Variant([value, value], ua.VariantType.ExtensionObject),
        datatype=outer.nodeid,
    )  # fmt: skip


async def serve(port: str, folder: Path, manner: dict[str, float]) -> None:
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    plant = await server.register_namespace("urn:plant")
    made: dict[str, Any] = {}

    async def add() -> None:
        for name, value in (("Temp", 1.0), ("Speed", 2.0), ("Arr", [1.0, 2.0, 3.0]), ("One", [7.0]), ("Text", "21.5"),
                            ("When", datetime(2026, 2, 1, 10, tzinfo=UTC))):  # fmt: skip
            node = ua.NodeId(name, plant)
            made[name] = await server.nodes.objects.add_variable(node, f"{plant}:{name}", value)
        if manner.get("structures"):
            await structures(server, plant)
        for i in range(int(manner.get("nodes", 0))):
            await server.nodes.objects.add_variable(ua.NodeId(f"N{i}", plant), f"{plant}:N{i}", float(i))

    if not manner.get("late"):
        await add()
    async with server:
        session = server.iserver.isession.__class__
        most = int(manner.get("most", 0))
        if most:
            read, create = session.read, session.create_monitored_items

            async def limited_read(self: Any, params: Any) -> Any:
                return await limited(lambda p: read(self, p), most, "NodesToRead")(params)

            async def limited_create(self: Any, params: Any) -> Any:
                return await limited(lambda p: create(self, p), most, "ItemsToCreate")(params)

            session.read, session.create_monitored_items = limited_read, limited_create
        listening: Any = server.bserver
        found = listening._server.sockets[0].getsockname()[1]
        (folder / "port.new").write_text(str(found))
        (folder / "port.new").rename(folder / "port")
        began = asyncio.get_running_loop().time()
        n, done = 0, set()
        while True:
            await asyncio.sleep(0.05)
            now = asyncio.get_running_loop().time() - began
            n += 1
            if manner.get("late") and (folder / "go").exists() and "late" not in done:
                done.add("late")
                await add()
            if manner.get("odd_time") and now > manner["odd_time"]:
                value = ua.DataValue(ua.Variant(float(n)))
                value.SourceTimestamp = datetime(9999, 12, 31)
                await server.write_attribute_value(made["Temp"].nodeid, value)
            elif "Temp" in made:
                await made["Temp"].write_value(float(n))
            if "Speed" in made:
                await made["Speed"].write_value(float(-n))
            if manner.get("drop") and now > manner["drop"] and "drop" not in done:
                done.add("drop")
                for one in list(server.iserver.subscription_service.subscriptions.values()):
                    await one.stop()
                server.iserver.subscription_service.subscriptions.clear()


if __name__ == "__main__":
    said = dict(word.split("=") for word in sys.argv[2:-1])
    asyncio.run(serve(sys.argv[1], Path(sys.argv[-1]), {name: float(value) for name, value in said.items()}))
