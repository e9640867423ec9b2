"""An OPC UA server in its own process: `server.py <port> <folder>`.

Its port is written to `port`. Where `folder` has server.der and server.pem it takes only signed and encrypted
messages of the user `edgeloop`, password `oil and water`. A line `<name> <value> [<status> [<seconds of age>]]` in the
file `set` is written to a node, and the file removed.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import ua as types
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.server import Server
from asyncua.server.user_managers import UserManager

ua: Any = types
URI = "urn:test:press"
NODES: dict[str, tuple[Any, Any]] = {
    "OilTemp": (ua.VariantType.Double, 72.5),
    "Speed": (ua.VariantType.Int16, 1200),
    "Running": (ua.VariantType.Boolean, True),
    "Order": (ua.VariantType.String, "press 7"),
    "Mode": (ua.VariantType.Int32, 2),
    "Level": (ua.VariantType.Float, 3.5),
    "Serial": (ua.VariantType.UInt32, 77),
}


class OneUser(UserManager):
    def get_user(
        self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
    ) -> User | None:
        return User(UserRole.Admin) if (username, password) == ("edgeloop", "oil and water") else None


async def serve(port: str, folder: Path) -> None:
    secure = (folder / "server.der").exists()
    server = Server(user_manager=OneUser() if secure else None)
    await server.init()
    await server.set_application_uri(URI)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/press/")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if secure:
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(str(folder / "server.der"))
        await server.load_private_key(str(folder / "server.pem"))
        server.set_identity_tokens([ua.UserNameIdentityToken])
    space = await server.register_namespace(URI)
    press = await server.nodes.objects.add_object(space, "Press")
    nodes = {}
    for name, (kind, value) in NODES.items():
        nodes[name] = await press.add_variable(ua.NodeId(f"Press.{name}", space), name, value, varianttype=kind)
        await nodes[name].set_writable()
    async with server:
        listening: Any = server.bserver
        (folder / "port.new").write_text(str(listening.port))
        (folder / "port.new").rename(folder / "port")
        while True:
            await asyncio.sleep(0.02)
            if (folder / "set").exists():
                for line in (folder / "set").read_text().splitlines():
                    await write(nodes, *line.split())
                (folder / "set").unlink()


async def write(nodes: dict[str, Any], name: str, value: str, status: str = "Good", age: str = "0") -> None:
    kind, example = NODES[name]
    make: Any = type(example)
    found = value if make is str else make(float(value))
    code = ua.StatusCode(getattr(ua.StatusCodes, status))
    at = datetime.now(UTC) - timedelta(seconds=float(age))
    data = ua.DataValue(ua.Variant(found, kind), code, SourceTimestamp=at, ServerTimestamp=at)
    await nodes[name].write_value(data)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
