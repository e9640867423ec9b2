"""The engine: items in, results, alarms and actions out. No I/O, no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly_inference.configuration import Configuration
from anomaly_inference.configuration import Monitor as MonitorConfiguration
from anomaly_inference.deduplication import AlarmDeduplication
from anomaly_inference.monitor import Monitor, types
from anomaly_inference.reporter import Signal, Tap
from anomaly_inference.results import Result
from edgeloop.alarms import Acknowledge, Alarm, AlarmBook, Cause, Command, Kind, Severity
from edgeloop.detect.models import Provider, Serving
from edgeloop.detect.protocol import Registry
from edgeloop.detect.registry import DETECTORS
from edgeloop.errors import EdgeloopError
from edgeloop.join import Latest
from edgeloop.join.asof import columns
from edgeloop.limits import Limits
from edgeloop.rules import Action, Rules
from edgeloop.supervise.roster import Roster
from edgeloop.wire.batch import Batch, Item, RecordBatch

OWN = ".engine"
"""The name of the engine's own state; no monitor can have it."""
CLOCKS = 400_000_000
"""ns by which the clocks of two streams may differ before one is corrected by arrival."""


def no_models(name: str) -> Serving | None:
    """Where there are none."""
    return None


@dataclass(slots=True)
class Outcome:
    """What came of some items."""

    results: list[Result] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)


class Engine:
    """All monitors of a device.

    Args:
        book: the open alarms; records each change before it is returned.
        problem: told (monitor, line) what is wrong with a monitor or its input, "" when nothing is any more.
        models: the model of a name as it is now.
        tap: told of everything that is scored.
        detectors: those that monitors may name; `apply` takes others that were set since.
    """

    def __init__(
        self,
        configuration: Configuration,
        book: AlarmBook | None = None,
        problem: Callable[[str, str], None] = lambda monitor, line: None,
        models: Provider = no_models,
        tap: Tap | None = None,
        detectors: Registry = DETECTORS,
    ) -> None:
        self.detectors = detectors
        self._models, self._tap = models, tap
        self._lines: dict[str, str] = {}
        self._limit_lines: dict[str, str] = {}
        self._refused: set[str] = set()
        self.book = book or AlarmBook()
        self.rules = Rules(configuration.rules)
        self._deduplication = AlarmDeduplication(self.book, self.rules.wait_for)
        self._problem = problem
        self._columns: dict[tuple[str, str], Latest] = {}
        self._columns_of: dict[str, list[tuple[str, Latest]]] = {}
        self._monitors: dict[str, Monitor] = {}
        self._roster: Roster[Monitor, Any] = Roster(self, lambda id: id)
        self._by_stream: dict[str, list[Monitor]] = {}
        self._clocks: dict[str, deque[int]] = {}
        self._newest = 0
        self.limits = Limits(configuration.limits)
        self.configuration = configuration
        self._arrange(configuration)

    def process(self, *items: Item, now: int | None = None) -> Outcome:
        """The items of a tick. now: ns UTC at which they arrived; without it, when their newest sample was taken."""
        outcome = Outcome()
        if now is None:
            now = max((i.end for i in items if isinstance(i, Batch) and len(i)), default=self._newest)
            now = max(now, self._newest)
        touched: dict[str, Monitor] = {}
        for item in items:
            if isinstance(item, (Batch, RecordBatch)) and len(item):
                self._arrived(item, now)
                self._limit(item, outcome, now)
            if not isinstance(item, Batch):
                continue
            for monitor in tuple(self._by_stream.get(item.stream, ())):
                touched[monitor.name] = monitor
                try:
                    signals = monitor.take(item, now)
                except EdgeloopError as e:
                    self._abandon(monitor, str(e))
                    continue
                except Exception as e:
                    self._abandon(monitor, f"it failed unexpectedly and scores no more: {type(e).__name__}: {e}")
                    continue
                self._tell(monitor)
                self._act(monitor, signals, outcome, now)
        if items:
            self._newest = max(self._newest, now)
        outcome.results = [r for m in touched.values() if (r := m.drain()) is not None]
        later = self.tick(now)
        outcome.alarms += later.alarms
        outcome.actions += later.actions
        return outcome

    def tick(self, now: int) -> Outcome:
        """Time passes: silence becomes a gap, shelves expire, actions are renewed."""
        outcome = Outcome()
        newest = now if now - self._newest > self.configuration.silence and self._newest else self._newest
        for monitor in self._monitors.values():
            monitor.tick(now, newest)
            self._tell(monitor)
            for kind, active in monitor.levels():
                known = self.book.find(monitor.name, kind) is not None
                if active != known and not (active and self._told(monitor, kind, now)):
                    self._act(monitor, [monitor.signal(kind, active)], outcome, now)
                if kind == "clock" and not active:
                    self._deduplication.over(monitor.name)
        outcome.alarms += self.book.tick(now)
        outcome.actions += self.rules.renew(self.book.open, now)
        return outcome

    def command(self, command: Command, now: int) -> Outcome:
        """An operator's word. EdgeloopError where it makes no sense."""
        alarms = self.book.command(command, now)
        if isinstance(command, Acknowledge):
            for alarm in alarms:
                if alarm.monitor in self._monitors:
                    self._monitors[alarm.monitor].answer(alarm.kind, command.reason)
        return Outcome(alarms=alarms)

    def apply(self, configuration: Configuration, now: int) -> Outcome:
        """A new configuration: what has not changed goes on as it was. None where there was none retires no alarm: it
        may be one that could not be read."""
        old, self.configuration = self.configuration, configuration
        self.rules.replace(configuration.rules)
        self.limits.apply(configuration.limits)
        self._arrange(configuration)
        watched = [*configuration.monitors, *configuration.limits]
        return Outcome(alarms=self.book.retire(watched, now) if watched or old.monitors or old.limits else [])

    def unheard(self) -> dict[str, tuple[str, str]]:
        """By monitor and limit that waits for what has never arrived: (asset, what). Not of `gap: 0`."""
        found: dict[str, tuple[str, str]] = {}
        for monitor in self._monitors.values():
            needed = (*monitor.streams, *(stream for stream, _ in monitor.input.operating.columns))
            missing = next((stream for stream in needed if stream not in self._clocks), None)
            if missing is not None and monitor.config.gap:
                found[monitor.name] = monitor.config.asset, missing
        for name, channel in self.limits.unheard().items():
            found[name] = self.configuration.limits[name].asset, channel
        return found

    def skipped(self) -> None:
        """Samples between those seen and those to come were not read."""
        for monitor in self._monitors.values():
            monitor.skipped()

    def state(self) -> dict[str, dict[str, NDArray[np.generic]]]:
        """What the monitors have learned and where they stand, by id; the engine's own under a name of its own."""
        states = {name: state for name, monitor in self._monitors.items() if (state := monitor.state())}
        if not states:
            return {}
        own = {
            "newest": self._newest,
            "clocks": {stream: list(clocks) for stream, clocks in self._clocks.items()},
            "columns": [[*key, latest.newest, latest.state()] for key, latest in self._columns.items()],
        }
        return states | {OWN: {"json": np.frombuffer(msgspec.json.encode(own), dtype=np.uint8)}}

    def restore(self, states: Mapping[str, Mapping[str, NDArray[np.generic]]]) -> None:
        """Goes on where `state` was taken: what is scored from here on is the same to the bit."""
        own = states.get(OWN)
        if own is not None:
            known = msgspec.json.decode(own["json"].tobytes())
            self._newest = int(known["newest"])
            self._clocks = {stream: deque(clocks, maxlen=3) for stream, clocks in known["clocks"].items()}
            for stream, name, newest, changes in known["columns"]:
                if (stream, name) in self._columns:
                    self._columns[stream, name].restore(changes, newest)
        for name, state in states.items():
            if name in self._monitors:
                try:
                    self._monitors[name].restore(state)
                except EdgeloopError as error:
                    self._abandon(self._monitors[name], str(error))

    def _arrange(self, configuration: Configuration) -> None:
        known = set(self._monitors)
        self._roster.apply(configuration.monitors, self._monitor)
        self._monitors = monitors = dict(self._roster.wanted)
        for alarm in self.book.open:
            if alarm.kind == "process" and alarm.monitor in monitors.keys() - known:
                monitors[alarm.monitor].assume()
        wanted = {key for m in monitors.values() for key in m.input.operating.columns}
        self._columns = {key: self._columns.get(key) or Latest() for key in wanted}
        self._columns_of = {}
        for (stream, name), latest in self._columns.items():
            self._columns_of.setdefault(stream, []).append((name, latest))
        self._by_stream = {}
        for monitor in monitors.values():
            for stream in monitor.streams:
                self._by_stream.setdefault(stream, []).append(monitor)

    def _monitor(self, name: str, config: MonitorConfiguration) -> Monitor:
        """As the configuration says: the one there is, or a new one that goes on where that stands."""
        known = self._monitors.get(name)
        if known is not None and known.config == config and known.types == types(config, self.detectors):
            return known
        made = Monitor(name, config, self._latest, self._models, self._tap, self.detectors)
        if known is not None:
            made.restore(known.state())
        return made

    # what the roster tells

    def problem(self, key: str, line: str) -> None:
        self._refused.add(key)
        self._problem(key, f"the new configuration was not applied: {line}" if key in self._monitors else line)

    def clear(self, key: str) -> None:
        if key in self._refused:
            self._refused.discard(key)
            self._problem(key, "")

    def _arrived(self, item: Batch | RecordBatch, now: int) -> None:
        """Remembers how the stream's clock stands to arrival, and the columns that conditions look up."""
        last = int(item.times[-1]) if item.times is not None else item.time_of(len(item) - 1)
        self._clocks.setdefault(item.stream, deque(maxlen=3)).append(last - now)
        for name, latest in self._columns_of.get(item.stream, ()):
            found = columns(item, name)
            if found is not None:
                latest.extend(*found)

    def _limit(self, item: Batch | RecordBatch, outcome: Outcome, now: int) -> None:
        """What people have set, row by row."""
        for judged in self.limits.take(item):
            cause = Cause(stream=judged.stream, epoch=judged.epoch, index=judged.index)
            if judged.active:
                alarms = self.book.raise_(
                    judged.limit, judged.kind, asset=judged.asset, severity=judged.severity, text=judged.text,
                    cause=cause, now=now, sample=judged.time,
                )  # fmt: skip
            else:
                alarms = self.book.clear(judged.limit, judged.kind, cause=cause, now=now, sample=judged.time)
            outcome.alarms += alarms
            outcome.actions += self.rules.fire(alarms, now)
        if self.limits.problems != self._limit_lines:
            for name in self._limit_lines.keys() | self.limits.problems.keys():
                self._problem(f"limits.{name}", self.limits.problems.get(name, ""))
            self._limit_lines = dict(self.limits.problems)

    def _latest(self, stream: str, name: str, reader: str) -> tuple[Latest, int]:
        """A column, and by how many ns its stream's clock is ahead of the reader's; small differences are none."""
        ahead = 0
        if stream in self._clocks and reader in self._clocks:
            ahead = round(median(self._clocks[stream]) - median(self._clocks[reader]))
        return self._columns[stream, name], ahead if abs(ahead) > CLOCKS else 0

    def _told(self, monitor: Monitor, kind: Kind, now: int) -> bool:
        return self._deduplication.told(
            monitor.name, kind, asset=monitor.config.asset, stream=monitor.streams[0], step=monitor.step, now=now
        )

    def _tell(self, monitor: Monitor) -> None:
        line = monitor.input.diagnostics.line
        if line != self._lines.get(monitor.name, ""):
            self._lines[monitor.name] = line
            self._problem(monitor.name, line)

    def _abandon(self, monitor: Monitor, line: str) -> None:
        self._problem(monitor.name, line)
        for monitors in self._by_stream.values():
            if monitor in monitors:
                monitors.remove(monitor)

    def _act(self, monitor: Monitor, signals: Iterable[Signal], outcome: Outcome, now: int) -> None:
        for signal in signals:
            if signal.active:
                alarms = self.book.raise_(
                    monitor.name, signal.kind,
                    asset=monitor.config.asset,
                    severity=_severity(monitor, signal.kind),
                    text=signal.text, cause=signal.cause, now=now, sample=signal.sample,
                )  # fmt: skip
            else:
                alarms = self.book.clear(monitor.name, signal.kind, cause=signal.cause, now=now, sample=signal.sample)
            outcome.alarms += alarms
            outcome.actions += self.rules.fire(alarms, now)


def _severity(monitor: Monitor, kind: Kind) -> Severity:
    if kind in ("drift", "notice"):
        return "low"
    return monitor.config.severity if kind in ("process", "event") else "medium"
