"""Answers that many pages ask for at once: made once, kept as bytes until there is a newer one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

import msgspec

KEPT: Final = 16
"""Answers; a chart has about 150 kB."""


class Shared:
    """`answer` may be called from any thread; those who ask for one that is being made wait for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[Hashable, tuple[Hashable, bytes]] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def answer(self, key: Hashable, moment: Hashable, make: Callable[[], Any]) -> bytes:
        """JSON of what `make` returns for this key at this moment; an answer of another moment is forgotten."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                kept = self._made.get(key)
            if kept is not None and kept[0] == moment:
                return kept[1]
            try:
                made = msgspec.json.encode(make())
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._made[key] = moment, made
                self._made.move_to_end(key)
                while len(self._made) > KEPT:
                    self._made.popitem(last=False)
            return made
