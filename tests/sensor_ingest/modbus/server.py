"""A Modbus device in its own process: `server.py tcp <port> | tls <port> | serial <path>`, then a folder, which
has server.pem and server.key for TLS.

Its port is written to `port`, every request as a line to `requests`; a file `silent` holds the units that say nothing.
Unit 1: holding registers 0..299 hold their addresses, 104 = 725, 110..111 = 3.5, 120..123 = "press 7";
300 is busy; 301..399 are missing; 400..409 hold their addresses. Coils 0..31: every third is on.
Unit 7: input registers 0..9 hold 700 more than their addresses.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import sys
from pathlib import Path
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusTlsServer
from pymodbus.simulator import DataType, SimData, SimDevice

Server = ModbusTcpServer | ModbusSerialServer | ModbusTlsServer


def holding() -> list[int]:
    registers = list(range(300))
    registers[104] = 725
    registers[110:112] = struct.unpack(">2H", struct.pack(">f", 3.5))
    registers[120:124] = struct.unpack(">4H", b"press 7\0")
    return registers


async def serve(kind: str, place: str, folder: Path) -> None:
    log = (folder / "requests").open("a", buffering=1)

    async def act(
        function: int, start: int, address: int, count: int, current: list[int], new: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        return ExcCodes.DEVICE_BUSY if function == 3 and address <= 300 < address + count else None

    def pass_on(sending: bool, data: bytes) -> bytes:
        silent = folder / "silent"
        start = 0 if kind == "serial" else 6
        unit = data[start] if data else 0
        if not sending and len(data) >= start + 6:
            log.write("{} {} {}\n".format(*struct.unpack_from(">BHH", data, start + 1)))
        return b"" if sending and silent.exists() and str(unit) in silent.read_text().split() else data

    def words(address: int, values: list[int]) -> SimData:
        return SimData(address, values=values, datatype=DataType.REGISTERS)

    bits = SimData(0, values=[i % 3 == 0 for i in range(32)], datatype=DataType.BITS)
    inputs = SimData(0, values=[i % 2 == 0 for i in range(32)], datatype=DataType.BITS)
    registers = [words(0, holding()), words(300, [5]), words(400, list(range(400, 410)))]
    press = SimDevice(1, ([bits], [inputs], registers, [words(0, list(range(100)))]), action=act)
    pump = SimDevice(7, ([bits], [inputs], [words(0, [0])], [words(0, list(range(700, 710)))]), action=act)
    server: Server
    if kind == "tcp":
        server = ModbusTcpServer([press, pump], address=("127.0.0.1", int(place)), trace_packet=pass_on)
    elif kind == "tls":
        secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secured.load_cert_chain(folder / "server.pem", folder / "server.key")
        server = ModbusTlsServer(
            [press, pump], address=("127.0.0.1", int(place)), framer=FramerType.SOCKET, sslctx=secured,
            trace_packet=pass_on,
        )  # fmt: skip
    else:
        server = ModbusSerialServer([press, pump], port=place, baudrate=115200, trace_packet=pass_on)
    await server.serve_forever(background=True)
    transport: Any = server.transport
    port = transport.sockets[0].getsockname()[1] if kind != "serial" else 0
    (folder / "port.new").write_text(str(port))
    (folder / "port.new").rename(folder / "port")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
