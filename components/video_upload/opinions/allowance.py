"""What second opinions may still take within these 24 hours: pictures, bytes, money."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from edgeloop.durable import Document
from edgeloop.opinions.settings import Opinion

HOURS: Final = 24
_HOUR: Final = 3600.0


class Spent(msgspec.Struct):
    """Of one hour."""

    pictures: int = 0
    bytes: int = 0
    money: float = 0.0


class Book(msgspec.Struct):
    """By camera the last hours, newest last."""

    schema: int = 1
    cameras: dict[str, list[Spent]] = {}


class Allowance:
    """`take` before each call. What was spent outlives the process; the time between two processes does not count, so
    that a restart never brings a new day. Safe on any thread."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = Document(path, Book, Book)
        self._book = self._file.load()
        self._clock, self._hour = clock, clock()
        self._lock = threading.Lock()

    @property
    def damage(self) -> str:
        return self._file.damage

    def take(self, camera: str, opinion: Opinion, size: int) -> str:
        """Spends one picture of so many bytes; else what is used up, and nothing is spent."""
        with self._lock:
            self._turn()
            hours = self._book.cameras.setdefault(camera, [])
            day = _sum(hours)
            most = opinion.most
            if day.pictures + 1 > most.pictures_a_day:
                return "pictures"
            if day.bytes + size > most.bytes_a_day:
                return "bytes"
            money = most.money_a_day
            if money is not None and day.money + opinion.money > money + 1e-9:
                return "money"
            if not hours:
                hours.append(Spent())
            newest = hours[-1]
            newest.pictures, newest.bytes = newest.pictures + 1, newest.bytes + size
            newest.money = newest.money + opinion.money
            return ""

    def spent(self, camera: str) -> Spent:
        """Within 24 hours."""
        with self._lock:
            self._turn()
            return _sum(self._book.cameras.get(camera, []))

    def save(self) -> None:
        """Raises OSError."""
        with self._lock:
            self._file.save(self._book)

    def _turn(self) -> None:
        passed = int((self._clock() - self._hour) // _HOUR)
        if passed <= 0:
            return
        self._hour += passed * _HOUR
        for camera, hours in list(self._book.cameras.items()):
            hours += [Spent() for _ in range(min(passed, HOURS))]
            del hours[:-HOURS]
            if not any(hour.pictures for hour in hours):
                del self._book.cameras[camera]


def _sum(hours: list[Spent]) -> Spent:
    return Spent(sum(h.pictures for h in hours), sum(h.bytes for h in hours), sum(h.money for h in hours))
