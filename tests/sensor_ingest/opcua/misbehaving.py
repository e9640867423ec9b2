"""An OPC UA server that does what the field's do, in a process: `misbehaving.py <port> [manner=number…] <folder>`.

late: the nodes are there once there is a file `go`. most: of one Read or CreateMonitoredItems. nodes: how many.
odd_time: s after which a node is written with the year 9999. drop: s after which subscriptions are gone without a word.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua as types
from asyncua.server.server import Server

ua: Any = types


def limited(service: Any, most: int, field: str) -> Any:
    async def call(params: Any, *rest: Any) -> Any:
        if len(getattr(params, field)) > most:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)
        return await service(params, *rest)

    return call


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
