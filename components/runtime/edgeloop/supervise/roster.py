"""What runs as a configuration says, each entry on its own: sources, cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from edgeloop.errors import EdgeloopError

AGAIN: Final = 5.0
"""s until what could not be started is tried again."""

W = TypeVar("W")


class Runs(Protocol):
    """`end` asks it to end and does not wait; it has come to its end once `ended`."""

    id: str

    def start(self) -> None: ...

    def end(self) -> None: ...

    @property
    def ended(self) -> bool: ...


R = TypeVar("R", bound=Runs)


class Told(Protocol):
    def problem(self, key: str, line: str) -> None: ...

    def clear(self, key: str) -> None: ...


class Roster(Generic[W, R]):
    """By id what is wanted, and what runs for it. Whatever is wrong with an entry is one line of health, and what it
    was before stays. `apply` from any thread; all else from the loop's.

    key: of health, by id.
    """

    def __init__(self, told: Told, key: Callable[[str], str]) -> None:
        self._told, self._key = told, key
        self._lock = threading.Lock()
        self._wanted: dict[str, W] = {}
        self._named: set[str] = set()
        self._again: dict[str, float] = {}
        self.running: dict[str, tuple[W, R]] = {}
        self.leaving: list[R] = []

    @property
    def wanted(self) -> dict[str, W]:
        with self._lock:
            return self._wanted

    def apply(self, entries: Mapping[str, Any], make: Callable[[str, Any], W]) -> set[str]:
        """Takes new entries, each as `make(id, entry)` says; the ids that are gone."""
        wanted: dict[str, W] = {}
        for id, entry in entries.items():
            try:
                wanted[id] = make(id, entry)
                self._told.clear(self._key(id))
            except Exception as error:
                self._told.problem(self._key(id), _line(error))
                if id in self._wanted:
                    wanted[id] = self._wanted[id]
        gone = self._named - entries.keys()
        for id in gone:
            self._told.clear(self._key(id))
        self._named = set(entries)
        with self._lock:
            self._wanted = wanted
        return gone

    def reconcile(self, left: Callable[[R], None], make: Callable[[str, W], R | None]) -> None:
        """Ends what is not wanted, starts what is; what changed starts when its old self has ended. left: told of each
        that has ended. make: None where it is too early."""
        wanted = self.wanted
        for id, (old, runs) in list(self.running.items()):
            if id not in wanted or wanted[id] != old:
                runs.end()
                self.leaving.append(runs)
                del self.running[id]
        for runs in [r for r in self.leaving if r.ended]:
            left(runs)
            self.leaving.remove(runs)
        ending = {runs.id for runs in self.leaving}
        for id, new in wanted.items():
            if id not in self.running and id not in ending and time.monotonic() >= self._again.get(id, 0.0):
                self._start(id, new, make)
        self._again = {id: at for id, at in self._again.items() if id in wanted}

    def __iter__(self) -> Iterator[R]:
        """All that may still say something, the ending ones first."""
        yield from self.leaving
        for _, runs in self.running.values():
            yield runs

    def _start(self, id: str, new: W, make: Callable[[str, W], R | None]) -> None:
        key = f"{self._key(id)}.start"
        try:
            runs = make(id, new)
            if runs is not None:
                runs.start()
        except Exception as error:
            self._again[id] = time.monotonic() + AGAIN
            self._told.problem(key, f"{id} cannot be started: {_line(error)}")
            return
        if self._again.pop(id, None) is not None:
            self._told.clear(key)
        if runs is not None:
            self.running[id] = (new, runs)


def _line(error: Exception) -> str:
    return str(error) if isinstance(error, EdgeloopError) else f"{type(error).__name__}: {error}"
