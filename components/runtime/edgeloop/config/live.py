"""The configuration of a running component: read from the nucleus, watched, kept when the new one is no good."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from edgeloop.config.load import tolerant
from edgeloop.config.migrate import migrated
from edgeloop.config.schema import defaults, difference, readable
from edgeloop.durable import Document
from edgeloop.errors import BusError, ConfigurationError, EdgeloopError

C = TypeVar("C", bound=msgspec.Struct)

RECONCILE: Final = 60.0
"""Seconds between two readings of the whole configuration where no change is told."""
QUIET: Final = 0.2
LONGEST_WAIT: Final = 2.0
_JOIN: Final = 0.3


class Source(Protocol):
    """The part of the bus that configuration needs."""

    @property
    def connected(self) -> bool: ...

    def get_configuration(self, path: tuple[str, ...] = ()) -> Any: ...

    def on_configuration_change(self, callback: Callable[[tuple[str, ...]], None]) -> object: ...


class LiveConfiguration(Generic[C]):
    """`current` is always valid: what the nucleus has, else the last good one (kept in `memory`), else the defaults.
    A setting or an entry of a collection that is invalid stays as it last was, or is left out; the others are applied.

    on_problem: key "configuration" for the whole, "configuration.<path>" for what was left out.
    renamed: as in the component's declaration; what it was applied to is said once.
    """

    def __init__(
        self,
        type: type[C],
        source: Source,
        memory: Path,
        on_problem: Callable[[str, str | None], None],
        say: Callable[[str, dict[str, Any]], None] = lambda message, fields: None,
        *,
        renamed: Mapping[str, str] | None = None,
        reconcile: float = RECONCILE,
    ) -> None:
        self._type, self._source = type, source
        self._memory: Document[dict[str, Any]] = Document(memory, dict[str, Any], dict, older=lambda found: found)
        self._on_problem, self._say, self._reconcile = on_problem, say, reconcile
        self._lock = threading.Lock()
        self._raw: Any = None
        self._told: C | None = None
        self._listeners: list[Callable[[C], None]] = []
        self._renamed, self._moved = dict(renamed or {}), dict[str, str]()
        self._entries: set[str] = set()
        self._forgetful = False
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)
        self.current: C = self._remembered()

    def start(self) -> None:
        """Reads once, where the nucleus is there, then watches."""
        self._source.on_configuration_change(lambda path: self._changed.set())
        if self._source.connected:
            self.refresh()
        else:
            self._on_problem("configuration.read", "the nucleus is not there; the last good configuration is in force")
        self._told = self.current
        self._say("configuration", {"changed_from_defaults": difference(self.current)})
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN)

    def listen(self, apply: Callable[[C], None]) -> None:
        """Calls `apply` with each later configuration that differs; at once where it differs from that at `start`."""
        with self._lock:
            self._listeners.append(apply)
            if self.current != self._told:
                self._apply(apply)

    def refresh(self) -> bool:
        """Reads the whole configuration; whether it was applied."""
        try:
            raw = self._source.get_configuration()
        except BusError as error:
            if not self._stopped.is_set():
                self._on_problem("configuration.read", str(error))
            return False
        self._on_problem("configuration.read", None)
        if raw == self._raw:
            return False
        self._raw = raw
        own = {k: v for k, v in raw.items() if k != "accessControl"} if isinstance(raw, dict) else raw
        try:
            new, dropped = tolerant(self._migrated(own), self._type, previous=self.current)
        except ConfigurationError as error:
            self._on_problem("configuration", f"{error}; the last good configuration stays")
            return False
        self._on_problem("configuration", None)
        self._tell_dropped(dropped)
        if self._forgetful or new != self.current:
            self._remember(new)
        if new == self.current:
            return False
        with self._lock:
            self.current = new
            if self._told is not None:
                self._say("configuration changed", {"changed_from_defaults": difference(new)})
            for apply in self._listeners:
                self._apply(apply)
        return True

    def _migrated(self, raw: Any) -> Any:
        value, moved = migrated(raw, self._renamed, defaults(self._type))
        for old, line in moved.items():
            if self._moved.get(old) != line:
                self._say(f"the setting {old} {line}; reset /{old.replace('.', '/')} in a deployment", {})
        self._moved = moved
        return value

    def _tell_dropped(self, dropped: list[ConfigurationError]) -> None:
        lines = {f"configuration.{error.where}": str(error) for error in dropped}
        for key in self._entries - set(lines):
            self._on_problem(key, None)
        for key, line in lines.items():
            self._on_problem(key, line)
        self._entries = set(lines)

    def _apply(self, apply: Callable[[C], None]) -> None:
        try:
            apply(self.current)
        except EdgeloopError as error:
            self._on_problem("configuration.apply", str(error))
        except Exception as error:
            line = f"the new configuration was not applied: {type(error).__name__}: {error}"
            self._on_problem("configuration.apply", line)
        else:
            self._on_problem("configuration.apply", None)

    def _remembered(self) -> C:
        value = tolerant({}, self._type)[0]
        wrong: Exception | str | None = None
        found = self._memory.load()
        try:
            known = migrated(found, self._renamed, defaults(self._type))[0]
            value, dropped = tolerant(known, self._type)
            wrong = self._memory.damage or (dropped[0] if dropped else None)
        except (ValueError, ConfigurationError) as error:
            wrong = error
        if wrong is not None:
            self._forgetful = True
            self._on_problem("configuration.memory", f"the last good configuration cannot be used as it is: {wrong}")
        return value

    def _remember(self, value: C) -> None:
        try:
            self._memory.save(readable(value))
        except OSError as error:
            line = f"the configuration cannot be kept for the next start ({self._memory.path}): {error.strerror}"
            self._on_problem("configuration.memory", line)
        else:
            self._forgetful = False
            self._on_problem("configuration.memory", None)

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._changed.wait(self._reconcile):
                waited = 0.0
                while not self._stopped.is_set() and waited < LONGEST_WAIT:
                    self._changed.clear()
                    if not self._changed.wait(QUIET):
                        break
                    waited += QUIET
                self._changed.clear()
            if not self._stopped.is_set():
                self.refresh()
