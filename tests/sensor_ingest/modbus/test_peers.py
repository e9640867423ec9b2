"""Devices that answer in every wrong way, in any mixture: a value of a row is the register's own, or none."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeloop.sequence import Samples
from sensor_ingest.rehearsal import Rehearsal, Running
from sensor_ingest.sources.modbus import SOURCE

from .misbehaving import crc

TAGS = {"a": "hr 10", "b": "hr 100", "c": "hr 200 int32", "d": "ir 10", "e": "hr 300 @2"}
OWN = [10.0, 100.0, 200 * 65536 + 201.0, 60010.0, 20300.0]
"""Register n of unit 1 holds n, its input registers 60000 more, unit 2 holds 20000 more."""
Answer = Callable[[bytes, bytes], list[tuple[float, bytes]]]
"""Of a good answer and one of another request: what is sent, and when (s)."""


def word(unit: int, function: int, address: int) -> int:
    return (address + (60000 if function == 4 else 0) + (20000 if unit == 2 else 0)) & 0xFFFF


FAULTS: dict[str, Answer] = {
    "none": lambda good, other: [(0.0, good)],
    "late": lambda good, other: [(0.09, good)],
    "very late": lambda good, other: [(0.16, good)],
    "never": lambda good, other: [],
    "twice": lambda good, other: [(0.0, good), (0.01, good)],
    "twice, late": lambda good, other: [(0.0, good), (0.09, good)],
    "another's": lambda good, other: [(0.0, other)],
    "another's behind": lambda good, other: [(0.0, good + other)],
    "another unit": lambda good, other: [(0.0, bytes([good[0] + 5]) + good[1:])],
    "another function": lambda good, other: [(0.0, good[:1] + bytes([good[1] ^ 1]) + good[2:])],
    "short": lambda good, other: [(0.0, good[:2] + bytes([good[2] - 1]) + good[3:-1])],
    "long": lambda good, other: [(0.0, good[:2] + bytes([good[2] + 2]) + good[3:] + b"\x12\x34")],
    "wrong count": lambda good, other: [(0.0, good[:2] + bytes([good[2] + 2]) + good[3:])],
    "in pieces": lambda good, other: [(0.0, good[:3]), (0.02, good[3:])],
    "half": lambda good, other: [(0.0, good[:4])],
    "exception": lambda good, other: [(0.0, bytes([good[0], good[1] | 0x80, 6]))],
    "busy": lambda good, other: [(0.02, bytes([good[0], good[1] | 0x80, 5]))],
    "noise": lambda good, other: [(0.0, b"\xff\x00\x7e" + good)],
    "noise behind": lambda good, other: [(0.0, good + b"\xff\x00")],
}


class Peer:
    """Answers over TCP, RTU over TCP or a serial line with a fault drawn for each request."""

    def __init__(self, kind: str, faults: list[str], share: float, seed: int) -> None:
        self.kind, self.faults, self.share = kind, faults, share
        self._random = random.Random(seed)
        self._end = threading.Event()
        self._sending = threading.Lock()
        self._last: dict[str, bytes] = {}
        self.drawn: set[str] = set()
        if kind == "rtu":
            self._mine, theirs = os.openpty()
            tty.setraw(self._mine)
            tty.setraw(theirs)
            self._theirs = theirs
            self.url = f"rtu://{os.ttyname(theirs)}?baud=115200&parity=N"
            target: Callable[[], None] = self._line
        else:
            self._listening = socket.create_server(("127.0.0.1", 0))
            self.url = f"{kind}://127.0.0.1:{self._listening.getsockname()[1]}"
            target = self._accept
        self._threads = [threading.Thread(target=target, daemon=True)]
        self._threads[0].start()

    def _good(self, body: bytes) -> bytes:
        unit, function, start, count = struct.unpack(">BBHH", body[:6])
        words = [word(unit, function, address) for address in range(start, start + count)]
        return bytes([unit, function, 2 * count]) + struct.pack(f">{count}H", *words)

    def _answers(self, body: bytes) -> list[tuple[float, bytes]]:
        good = self._good(body)
        other = self._last.get("good", b"\x01\x03\x02\x00\x63")
        self._last["good"] = good
        fault = self._random.choice(self.faults) if self._random.random() < self.share else "none"
        self.drawn.add(fault)
        return FAULTS[fault](good, other)

    def _later(self, wait: float, send: Callable[[bytes], object], frame: bytes) -> None:
        def go() -> None:
            with self._sending:
                if not self._end.is_set():
                    with contextlib.suppress(OSError):
                        send(frame)

        if wait:
            timer = threading.Timer(wait, go)
            timer.daemon = True
            timer.start()
        else:
            go()

    def _line(self) -> None:
        held = b""
        while not self._end.is_set():
            if select.select([self._mine], [], [], 0.1)[0]:
                held = self._requests(held + os.read(self._mine, 256), lambda frame: os.write(self._mine, frame))

    def _requests(self, held: bytes, send: Callable[[bytes], object]) -> bytes:
        while len(held) >= 8:
            frame, held = held[:8], held[8:]
            for wait, answer in self._answers(frame[:6]):
                self._later(wait, send, answer + crc(answer))
        return held

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        with connection:
            while not self._end.is_set():
                if not select.select([connection], [], [], 0.1)[0]:
                    continue
                try:
                    got = connection.recv(256)
                except OSError:
                    return
                if not got:
                    return
                held += got
                if self.kind == "rtu+tcp":
                    held = self._requests(held, connection.sendall)
                    continue
                while len(held) >= 12:
                    head, body, held = held[:6], held[6:12], held[12:]
                    tid = struct.unpack(">H", head[:2])[0]
                    good = self._good(body)
                    for wait, answer in self._answers(body):
                        foreign = answer[3:] != good[3:] and len(answer) == len(good)
                        number = (tid - 1) & 0xFFFF if foreign else tid
                        frame = struct.pack(">HHH", number, 0, len(answer)) + answer
                        self._later(wait, connection.sendall, frame)

    def close(self) -> None:
        self._end.set()
        if self.kind != "rtu":
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        for thread in self._threads:
            thread.join(5)
        if self.kind == "rtu":
            with self._sending:
                os.close(self._mine)
                os.close(self._theirs)


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    made: list[Peer] = []
    yield made
    for one in made:
        one.close()


UNNUMBERED = [name for name in FAULTS if name not in ("another's", "twice", "twice, late", "none")]
"""On a serial line a timely answer for another register of the same table and length is the answer: nothing in it
says otherwise. What comes of a request that was missed is another matter: that is waited for."""


@pytest.mark.parametrize("kind", ["tcp", "rtu", "rtu+tcp"])
@pytest.mark.parametrize(
    ("seed", "polls"), [(1, 25), *[pytest.param(seed, 150, marks=pytest.mark.long) for seed in range(2, 5)]]
)
def test_a_value_is_its_registers_or_none(tmp_path: Path, peers: list[Peer], kind: str, seed: int, polls: int) -> None:
    faults = [name for name in FAULTS if name != "none"] if kind == "tcp" else UNNUMBERED
    peer = Peer(kind, faults, 0.35, seed)
    peers.append(peer)
    outlet = Rehearsal("a", tmp_path)
    options = {"type": "modbus", "url": peer.url, "tags": TAGS, "timeout": "60 ms", "poll": "10 ms", "gap": 0}
    with Running(SOURCE, outlet, **options) as run:
        run.until(lambda: len(outlet.chunks) >= polls and len(peer.drawn) > 10, 120)
    found = np.concatenate([c.samples for c in list(outlet.chunks) if isinstance(c, Samples)])
    wrong = np.isfinite(found) & (found != OWN)
    assert not wrong.any(), found[wrong.any(axis=1)][:5]
    assert np.isfinite(found).sum() > 20
