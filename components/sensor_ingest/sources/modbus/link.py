"""One connection to devices: Modbus TCP, RTU over TCP, or RTU on a serial line, by pymodbus."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from edgeloop import optional
from edgeloop.component import user
from edgeloop.errors import EdgeloopError
from sensor_ingest.sources.modbus.plan import Request
from sensor_ingest.sources.modbus.registers import pack
from sensor_ingest.sources.modbus.tags import Table

PURPOSE = "a Modbus source"
EXCEPTIONS = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "device failure",
    5: "acknowledged, not ready", 6: "device busy", 8: "memory parity error",
    10: "gateway path unavailable", 11: "the device behind the gateway does not answer",
}  # fmt: skip
REFUSED = frozenset({2, 3})
"""Exceptions that a smaller request may not meet."""
_SCHEMES = ("tcp", "rtu", "rtu+tcp")


class Lost(EdgeloopError):
    """The connection is gone."""


class Silent(EdgeloopError):
    """A device did not answer."""


class Refused(EdgeloopError):
    """A device answered with an exception, `code`; 0 where its answer makes no sense."""

    def __init__(self, where: str, code: int, why: str = "") -> None:
        super().__init__(why or EXCEPTIONS.get(code, f"exception {code}"), where=where)
        self.code = code


@dataclass(frozen=True, slots=True)
class Address:
    """Where devices are. host: of TCP, or the serial device."""

    scheme: str
    host: str
    port: int = 502
    baud: int = 19200
    parity: Literal["N", "E", "O"] = "E"
    stop: Literal[1, 2] = 1

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError.

        >>> Address.parse("tcp://plc1").port, Address.parse("rtu:///dev/ttyUSB0?baud=9600&parity=N&stop=2").baud
        (502, 9600)
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(f"{url!r} is no address, such as tcp://host:502") from None
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"{url!r} begins with none of: {', '.join(f'{s}://' for s in _SCHEMES)}")
        if parts.username or parts.password or parts.fragment:
            raise ValueError("Modbus has no user names: the address is host and port")
        if parts.scheme != "rtu":
            if not parts.hostname or parts.path not in ("", "/") or parts.query:
                raise ValueError(f"{url!r} is no address, such as {parts.scheme}://host:502")
            return cls(parts.scheme, parts.hostname, 502 if port is None else port)
        if parts.netloc or not re.fullmatch(r"/[^/].*", parts.path):
            raise ValueError(f"{url!r} is no serial device, such as rtu:///dev/ttyUSB0?baud=19200&parity=E")
        return cls("rtu", parts.path, **_line(dict(parse_qsl(parts.query, keep_blank_values=True))))

    def __str__(self) -> str:
        if self.scheme == "rtu":
            return f"rtu://{self.host}?baud={self.baud}&parity={self.parity}&stop={self.stop}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def _line(options: dict[str, str]) -> dict[str, Any]:
    checks = {"baud": r"[1-9]\d{2,6}", "parity": "[NEO]", "stop": "[12]"}
    for key, value in options.items():
        if key not in checks:
            raise ValueError(f"a serial line has no {key!r}; one of: {', '.join(checks)}")
        if not re.fullmatch(checks[key], value):
            raise ValueError(f"{value!r} is no {key} of a serial line")
    return {key: value if key == "parity" else int(value) for key, value in options.items()}


class Link:
    """Requests one at a time, from any thread. timeout: s for an answer, retries: how often it is asked again."""

    def __init__(self, address: Address, timeout: float, retries: int) -> None:
        self.address = address
        self._timeout = timeout
        self._lock = threading.Lock()
        client = optional.load("pymodbus.client", PURPOSE)
        framer = optional.load("pymodbus", PURPOSE).FramerType
        self._failure = optional.load("pymodbus.exceptions", PURPOSE).ModbusException
        self._gone = optional.load("pymodbus.exceptions", PURPOSE).ConnectionException
        if address.scheme == "rtu":
            optional.load("serial", PURPOSE)
            self._client: Any = client.ModbusSerialClient(
                address.host, baudrate=address.baud, parity=address.parity, stopbits=address.stop,
                timeout=timeout, retries=retries,
            )  # fmt: skip
        else:
            kind = framer.SOCKET if address.scheme == "tcp" else framer.RTU
            self._client = client.ModbusTcpClient(
                address.host, port=address.port, framer=kind, timeout=timeout, retries=retries
            )

    def open(self) -> None:
        """Raises EdgeloopError."""
        try:
            if self.address.scheme == "rtu":
                with open(self.address.host, "rb", buffering=0, opener=_unblocked):
                    pass
            else:
                made = socket.create_connection((self.address.host, self.address.port), self._timeout)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._client.socket = made
        except OSError as error:
            mend = f"let user {user()} use it" if isinstance(error, PermissionError) else ""
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise EdgeloopError("cannot connect", where=str(self.address), why=why, mend=mend) from None
        if not self._client.connect():
            raise EdgeloopError("cannot connect", where=str(self.address), why="it is no serial line, or in use")

    def interrupt(self) -> None:
        """Ends a request that waits, from another thread."""
        made = self._client.socket
        if isinstance(made, socket.socket):
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self._client.close()

    def read(self, request: Request) -> bytes:
        """Registers as on the wire; of bits one byte each, 0 or 1. Raises Lost, Silent, Refused."""
        call = {
            "co": self._client.read_coils, "di": self._client.read_discrete_inputs,
            "hr": self._client.read_holding_registers, "ir": self._client.read_input_registers,
        }[request.table]  # fmt: skip
        answer = self._ask(request.where, call, request.start, count=request.count, device_id=request.device)
        bits = request.table in ("co", "di")
        values: list[int] = answer.bits if bits else answer.registers
        if len(values) < request.count:
            raise Refused(request.where, 0, f"it sent {len(values)} values of {request.count}")
        return bytes(map(bool, values[: request.count])) if bits else pack(values[: request.count])

    def write_coil(self, device: int, address: int, value: bool) -> None:
        """Raises Lost, Silent, Refused."""
        self._ask(f"co {address} @{device}", self._client.write_coil, address, value, device_id=device)

    def write_registers(self, device: int, address: int, values: Sequence[int]) -> None:
        """One register with function 6, several with function 16. Raises Lost, Silent, Refused."""
        where = f"hr {address} @{device}"
        if len(values) == 1:
            self._ask(where, self._client.write_register, address, values[0], device_id=device)
        else:
            self._ask(where, self._client.write_registers, address, list(values), device_id=device)

    def set_bit(self, device: int, address: int, mask: int, on: bool) -> None:
        """Reads a register and writes it with some bits changed; another writer in between loses."""
        before = int.from_bytes(self.read(_one("hr", device, address)), "big")
        self.write_registers(device, address, [before | mask if on else before & ~mask & 0xFFFF])

    def _ask(self, where: str, call: Any, *arguments: Any, **keywords: Any) -> Any:
        with self._lock:
            if self._client.socket is None:
                raise Lost("the connection was lost", where=str(self.address))
            try:
                answer = call(*arguments, **keywords)
            except self._gone:
                raise Lost("the connection was lost", where=str(self.address)) from None
            except self._failure:
                raise Silent("no answer", where=where) from None
            except (OSError, ValueError) as error:
                raise Lost("the connection was lost", where=str(self.address), why=str(error)) from None
        if answer.isError():
            raise Refused(where, getattr(answer, "exception_code", 0))
        return answer


def _one(table: Table, device: int, address: int) -> Request:
    return Request(device, table, address, 1, ())


def _unblocked(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
