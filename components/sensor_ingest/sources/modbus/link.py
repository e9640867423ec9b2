"""One connection to devices: Modbus TCP, RTU over TCP, or RTU on a serial line, by pymodbus."""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
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
REFUSED = frozenset({0, 1, 2, 3, 4})
"""Exceptions that a smaller request may not meet; 0: fewer values than were asked for."""
AWAY = frozenset({10, 11})
"""Exceptions with which a gateway says that a device is not there."""
LINGER, QUIET, LONGEST_QUIET, SUSPECT = 0.03, 3.0, 10.0, 10.0
"""Of a line whose answers carry no number: s without a byte that end an answer; how many time-outs an answer may
be late, at most s; how long (in time-outs) after a missing one each answer is checked for a second one behind it."""
NEVER = 1 << 30
FUNCTIONS = {
    "read_coils": 1, "read_discrete_inputs": 2, "read_holding_registers": 3, "read_input_registers": 4,
    "write_coil": 5, "write_register": 6, "write_registers": 16,
}  # fmt: skip
_SCHEMES = ("tcp", "rtu", "rtu+tcp", "tls")


class Lost(EdgeloopError):
    """The connection is gone."""


class Silent(EdgeloopError):
    """A device did not answer."""


class Late(Silent):
    """A device answered, but too late to be believed."""


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
            usual = 802 if parts.scheme == "tls" else 502
            if not parts.hostname or parts.path not in ("", "/") or parts.query:
                raise ValueError(f"{url!r} is no address, such as {parts.scheme}://host:502")
            return cls(parts.scheme, parts.hostname, usual if port is None else port)
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
    """Requests one at a time, from any thread. timeout: s for an answer, retries: how often it is asked again.

    On a line whose answers carry no number (RTU), an answer that is late is discarded: after a request without one the
    line has to be silent before the next is asked, and while one may still come, two answers for one request are none.
    late: answers discarded. renewed: called where a connection that was closed is opened again.
    """

    def __init__(
        self, address: Address, timeout: float, retries: int, *, tls: ssl.SSLContext | None = None, settle: float = 0.0,
        renewed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.address = address
        self.late = 0
        self._timeout, self._retries, self._settle, self._tls, self._renewed = timeout, retries, settle, tls, renewed
        self._numbered = address.scheme in ("tcp", "tls")
        self._latest = 0.0
        self._suspect = 0.0
        self._answered = False
        self._ended = threading.Event()
        self._lock = threading.Lock()
        client = optional.load("pymodbus.client", PURPOSE)
        framer = optional.load("pymodbus", PURPOSE).FramerType
        self._failure = optional.load("pymodbus.exceptions", PURPOSE).ModbusException
        self._gone = optional.load("pymodbus.exceptions", PURPOSE).ConnectionException
        if address.scheme == "rtu":
            optional.load("serial", PURPOSE)
            self._client: Any = client.ModbusSerialClient(
                address.host, baudrate=address.baud, parity=address.parity, stopbits=address.stop,
                timeout=timeout, retries=0,
            )  # fmt: skip
        else:
            kind = framer.SOCKET if self._numbered else framer.RTU
            self._client = client.ModbusTcpClient(
                address.host, port=address.port, framer=kind, timeout=timeout, retries=0
            )
        self._client.set_max_no_responses(NEVER)

    def open(self) -> None:
        """Raises EdgeloopError."""
        try:
            if self.address.scheme == "rtu":
                with open(self.address.host, "rb", buffering=0, opener=_unblocked):
                    pass
            else:
                made = socket.create_connection((self.address.host, self.address.port), self._timeout)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    made = self._tls.wrap_socket(made, server_hostname=self.address.host)
                self._client.socket = made
        except OSError as error:
            mend = f"let user {user()} use it" if isinstance(error, PermissionError) else ""
            why = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            raise EdgeloopError("cannot connect", where=str(self.address), why=why, mend=mend) from None
        if not self._client.connect():
            raise EdgeloopError("cannot connect", where=str(self.address), why="it is no serial line, or in use")
        self._answered = False
        if self._settle:
            self._ended.wait(self._settle)

    def interrupt(self) -> None:
        """Ends a request that waits, from another thread."""
        self._ended.set()
        made = self._client.socket
        if isinstance(made, socket.socket):
            with contextlib.suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._ended.set()
        with self._lock:
            self._client.close()

    def read(self, request: Request, *, patient: bool = True) -> bytes:
        """Registers as on the wire; of bits one byte each, 0 or 1. Not patient: without retries.

        Raises Lost, Silent, Refused.
        """
        call = {
            "co": self._client.read_coils, "di": self._client.read_discrete_inputs,
            "hr": self._client.read_holding_registers, "ir": self._client.read_input_registers,
        }[request.table]  # fmt: skip
        device, count = request.device, request.count
        answer = self._ask(request.where, call, request.start, patient=patient, count=count, device_id=device)
        bits = request.table in ("co", "di")
        values: list[int] = answer.bits if bits else answer.registers
        wanted = -(-request.count // 8) * 8 if bits else request.count
        if len(values) > wanted or (len(values) < wanted and self._doubtful):
            self._discard()
            raise Late("the answer is of another length", where=request.where)
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

    def _ask(self, where: str, call: Any, *arguments: Any, patient: bool = True, **keywords: Any) -> Any:
        with self._lock:
            self._renew()
            left = self._retries if patient else 0
            while True:
                try:
                    answer = self._once(call, *arguments, **keywords)
                    if answer.function_code & 0x7F != FUNCTIONS[call.__name__]:
                        self._discard()
                        raise Late("the answer is to another request")
                    break
                except Silent as error:
                    if not left or self._ended.is_set():
                        raise type(error)(error.what, where=where) from None
                    left -= 1
                except Lost:
                    if not self._answered or self._ended.is_set():
                        raise
                    self._reopen()
        if answer.isError():
            raise Refused(where, getattr(answer, "exception_code", 0))
        return answer

    @property
    def _doubtful(self) -> bool:
        """Whether an answer for another request may be on the line."""
        return not self._numbered and time.monotonic() < self._suspect

    def _discard(self) -> None:
        """An answer was another's: the next ones are in doubt."""
        self.late += 1
        self._suspect = time.monotonic() + SUSPECT * self._timeout

    def _once(self, call: Any, *arguments: Any, **keywords: Any) -> Any:
        """One request and its answer. Raises Lost, Silent."""
        if not self._numbered and self._drain(0.0):
            self._discard()
        began = time.monotonic()
        try:
            answer = call(*arguments, **keywords)
        except self._gone:
            raise Lost("the connection was lost", where=str(self.address)) from None
        except self._failure:
            if self._client.socket is None or self._hung_up():
                raise Lost("the connection was lost", where=str(self.address)) from None
            if not self._numbered and self._late_one(began):
                raise Late("the answer came too late") from None
            raise Silent("no answer") from None
        except (OSError, ValueError) as error:
            raise Lost("the connection was lost", where=str(self.address), why=str(error)) from None
        took = time.monotonic() - began
        if self._doubtful and self._drain(max(LINGER, 2 * took)):
            self._discard()
            raise Late("two answers to one request")
        self._answered = True
        return answer

    def _late_one(self, began: float) -> bool:
        """Waits until the answer that was missed has come and is thrown away, or is not to be expected any more."""
        longest = min(LONGEST_QUIET, max(QUIET * self._timeout, 1.5 * self._latest))
        while not self._ended.is_set() and time.monotonic() - began < longest:
            if self._drain(LINGER):
                self.late += 1
                self._latest = max(self._latest, time.monotonic() - began)
                return True
        self._suspect = time.monotonic() + SUSPECT * self._timeout
        return False

    def _drain(self, seconds: float) -> int:
        """Bytes thrown away until nothing has come for so long."""
        thrown = 0
        end = time.monotonic() + seconds
        while True:
            got = self._waiting(max(0.0, end - time.monotonic()))
            if not got:
                return thrown
            thrown += got
            end = time.monotonic() + max(seconds, LINGER)

    def _waiting(self, seconds: float) -> int:
        """Bytes that come within a time, thrown away."""
        line = self._client.socket
        if line is None:
            return 0
        try:
            if not select.select([line], [], [], seconds)[0]:
                return 0
            if isinstance(line, socket.socket):
                return len(line.recv(4096))
            return len(line.read(max(1, line.in_waiting)))
        except (OSError, ValueError):
            return 0

    def _renew(self) -> None:
        """Opens a connection again that the other side closed while nothing was asked."""
        if self._client.socket is None or self._hung_up():
            if not self._answered:
                raise Lost("the connection was lost", where=str(self.address))
            self._reopen()

    def _reopen(self) -> None:
        self._client.close()
        try:
            self.open()
        except EdgeloopError as error:
            raise Lost("the connection was lost", where=str(self.address), why=str(error)) from None
        self._renewed()

    def _hung_up(self) -> bool:
        line = self._client.socket
        if not isinstance(line, socket.socket) or isinstance(line, ssl.SSLSocket):
            return False
        try:
            readable = select.select([line], [], [], 0)[0]
            return bool(readable) and not line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except (OSError, ValueError):
            return True


def _one(table: Table, device: int, address: int) -> Request:
    return Request(device, table, address, 1, ())


def _unblocked(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
