"""A Modbus device that does what the field's do: late, closing, refusing, silent. Register n holds n by itself."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import threading
import time
import tty
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Manner:
    """late: share of answers that come `lateness` s after the request. idle: s after which a connection that says
    nothing is closed. away: unit whose requests end in exception `code` after `delay` s. most: registers of a request,
    else `refusal`. hole: addresses that do not exist, `refusal` there. deaf: s after connecting without an answer."""

    late: float = 0.0
    lateness: float = 0.0
    idle: float = 0.0
    away: int = -1
    code: int = 11
    delay: float = 0.0
    most: int = 125
    hole: tuple[int, int] = (-1, -1)
    refusal: int = 3
    deaf: float = 0.0
    words: Mapping[int, int] = field(default_factory=dict)


class Device:
    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.asked: list[tuple[int, int, int]] = []
        self.connections = 0
        self._end = threading.Event()
        self._random = random.Random(7)

    def answer(self, pdu: bytes, unit: int) -> tuple[bytes, float]:
        """PDU of the answer and s until it is sent; none: silence."""
        m = self.manner
        function, start, count = struct.unpack(">BHH", pdu[:5])
        self.asked.append((unit, start, count))
        if unit == m.away:
            return bytes([function | 0x80, m.code]), m.delay
        touches = m.hole[0] <= start + count - 1 and start <= m.hole[1]
        if count > m.most or touches:
            return bytes([function | 0x80, m.refusal]), 0.0
        words = [m.words.get(address, address) for address in range(start, start + count)]
        late = m.lateness if self._random.random() < m.late else 0.0
        return bytes([function, 2 * count]) + struct.pack(f">{count}H", *words), late

    def close(self) -> None:
        self._end.set()


class Tcp(Device):
    def __init__(self, manner: Manner) -> None:
        super().__init__(manner)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        began = time.monotonic()
        with connection:
            while not self._end.is_set():
                if not select.select([connection], [], [], self.manner.idle or 60)[0]:
                    return
                try:
                    head = connection.recv(7, socket.MSG_WAITALL)
                    if len(head) < 7:
                        return
                    tid, _, length, unit = struct.unpack(">HHHB", head)
                    pdu = connection.recv(length - 1, socket.MSG_WAITALL)
                    answer, wait = self.answer(pdu, unit)
                    if time.monotonic() - began < self.manner.deaf:
                        continue
                    self._end.wait(wait)
                    connection.sendall(struct.pack(">HHHB", tid, 0, len(answer) + 1, unit) + answer)
                except OSError:
                    return

    def close(self) -> None:
        super().close()
        self._listening.close()


class Serial(Device):
    """RTU on a pseudo-terminal."""

    def __init__(self, manner: Manner) -> None:
        super().__init__(manner)
        self._mine, theirs = os.openpty()
        tty.setraw(self._mine)
        tty.setraw(theirs)
        self.url = f"rtu://{os.ttyname(theirs)}?baud=115200&parity=N"
        self._theirs = theirs
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        held = b""
        while not self._end.is_set():
            if not select.select([self._mine], [], [], 0.2)[0]:
                continue
            held += os.read(self._mine, 256)
            while len(held) >= 8:
                frame, held = held[:8], held[8:]
                answer, wait = self.answer(frame[1:6], frame[0])
                body = frame[:1] + answer
                threading.Timer(wait, os.write, (self._mine, body + crc(body))).start()


def crc(frame: bytes) -> bytes:
    value = 0xFFFF
    for octet in frame:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return struct.pack("<H", value)
