"""The health of one component."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from edgeloop import clock, topics
from edgeloop.documents import encode
from edgeloop.health.exposed import snapshot, text
from edgeloop.health.metrics import MetricFiles
from edgeloop.log import redact

State = Literal["ok", "degraded"]

PERIOD: Final = 10.0
"""Seconds between two publications where nothing changes."""
METRICS_PERIOD: Final = 60.0
_SHORTEST: Final = 0.25
_SHOWN: Final = 12
_LINE: Final = 240
_VALUES: Final = 64
_LARGEST: Final = 7000
_REPORTS: Final = 1.0
_KEYS: Final = 1000


@dataclass(slots=True)
class _Problem:
    line: str
    since: int
    count: int = 1
    reported: str = ""


class Health:
    """Problems by key, counters and gauges. Every method is safe on any thread and blocks nobody.

    `publish(document)` is called on change (at most 4 times a second) and every 10 s; `report(key, line)` where a
    problem is new or says something new, at most once a second per key, and with line None when that is over.
    """

    def __init__(
        self,
        component: str,
        publish: Callable[[dict[str, Any]], object],
        *,
        metrics: MetricFiles | None = None,
        report: Callable[[str, str | None], None] = lambda key, line: None,
        period: float = PERIOD,
        metrics_period: float = METRICS_PERIOD,
    ) -> None:
        self._component, self._publish, self._metrics, self._report = component, publish, metrics, report
        self._period, self._metrics_period = period, metrics_period
        self._lock = threading.Lock()
        self._problems: dict[str, _Problem] = {}
        self._counters: dict[str, int] = {}
        self._gauges: dict[str, float] = {}
        self._written: dict[str, int] = {}
        self._shown: dict[str, Callable[[], Mapping[str, float]]] = {"process": process}
        self._reported: dict[str, float] = {}
        self._started = clock.elapsed()
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Writes the last metrics and ends the thread."""
        self._stopped.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(1.0)
        self._write_metrics()

    def problem(self, key: str, line: str) -> None:
        """Something is wrong. The same key again replaces the line and is counted, not reported twice."""
        line = " ".join(line.split())
        with self._lock:
            known = self._problems.get(key)
            if known is not None:
                known.count += 1
                if known.line == line:
                    return
                known.line = line
            else:
                known = self._problems[key] = _Problem(line, clock.now())
            due = self._due(key, known)
        self._changed.set()
        if due:
            self._report(key, line)

    def _due(self, key: str, problem: _Problem) -> bool:
        """Whether the problem's line is to be reported now; it then counts as reported."""
        moment = time.monotonic()
        if problem.line == problem.reported or moment - self._reported.get(key, -_REPORTS) < _REPORTS:
            return False
        if len(self._reported) > _KEYS:
            self._reported.clear()
        self._reported[key] = moment
        problem.reported = problem.line
        return True

    def _report_late(self) -> None:
        with self._lock:
            late = [(key, problem.line) for key, problem in self._problems.items() if self._due(key, problem)]
        for key, line in late:
            self._report(key, line)

    def clear(self, key: str) -> None:
        """It is over. Harmless where nothing was wrong."""
        with self._lock:
            problem = self._problems.pop(key, None)
        if problem is None:
            return
        self._changed.set()
        if problem.reported:
            self._report(key, None)

    def clear_below(self, prefix: str) -> None:
        """Clears every problem whose key starts so."""
        with self._lock:
            keys = [key for key in self._problems if key.startswith(prefix)]
        for key in keys:
            self.clear(key)

    def set(self, key: str, line: str | None) -> None:
        """A problem, or with None its end."""
        if line is None:
            self.clear(key)
        else:
            self.problem(key, line)

    def count(self, name: str, n: int = 1) -> None:
        with self._lock:
            self._counters[name] = self._counters.get(name, 0) + n

    def gauge(self, name: str, value: float) -> None:
        with self._lock:
            self._gauges[name] = float(value)

    def show(self, name: str, numbers: Callable[[], Mapping[str, float]]) -> None:
        """Numbers that are asked for when the document is made, under a name of their own."""
        self._shown[name] = numbers

    @property
    def state(self) -> State:
        return "degraded" if self._problems else "ok"

    @property
    def problems(self) -> dict[str, str]:
        """Line by key."""
        with self._lock:
            return {key: problem.line for key, problem in self._problems.items()}

    def document(self) -> dict[str, Any]:
        """What goes to the bus, newest problems first; what does not fit into one message is left out."""
        document = self._document()
        for name in ("gauges", "counters", "problems"):
            while len(encode(document)) > _LARGEST and document[name]:
                kept = len(document[name]) // 2
                items = document[name]
                document[name] = items[:kept] if isinstance(items, list) else dict(list(items.items())[:kept])
        return document

    def exposition(self) -> str:
        """All of it, as Prometheus reads it."""
        with self._lock:
            state = snapshot(self._counters, self._gauges, self._problems, process())
        return text(topics.short(self._component), state)

    def _document(self) -> dict[str, Any]:
        moment = clock.now()
        shown = {name: dict(numbers()) for name, numbers in self._shown.items()}
        with self._lock:
            newest = sorted(self._problems.items(), key=lambda item: -item[1].since)
            return {
                "schema": 1,
                "component": self._component,
                "time": moment,
                "time_rfc3339": clock.rfc3339(moment),
                "state": "degraded" if self._problems else "ok",
                "uptime_s": (clock.elapsed() - self._started) // clock.NS,
                "problem_count": len(self._problems),
                "problems": [
                    {"key": key[:64], "line": redact(p.line)[:_LINE], "since": p.since, "count": p.count}
                    for key, p in newest[:_SHOWN]
                ],
                "counters": dict(sorted(self._counters.items())[:_VALUES]),
                "gauges": dict(sorted(self._gauges.items())[:_VALUES]),
                **shown,
            }

    def _run(self) -> None:
        written = time.monotonic()
        while not self._stopped.is_set():
            self._changed.wait(self._period)
            if self._stopped.wait(_SHORTEST):
                break
            self._changed.clear()
            self._report_late()
            self._publish(self.document())
            if time.monotonic() - written >= self._metrics_period:
                written = time.monotonic()
                self._write_metrics()

    def _write_metrics(self) -> None:
        if self._metrics is None:
            return
        with self._lock:
            counts = {name: value - self._written.get(name, 0) for name, value in self._counters.items()}
            self._written = dict(self._counters)
            gauges = {**self._gauges, "problems": float(len(self._problems))}
        gauges |= {name: float(value) for name, value in process().items()}
        self._metrics.write(clock.now(), counts, gauges)


def process() -> dict[str, float]:
    """Resident memory in MB, CPU seconds since the start, threads.

    >>> sorted(process())
    ['cpu_s', 'memory_mb', 'threads']
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm", "rb") as file:
        pages = int(file.read().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    cpu = usage.ru_utime + usage.ru_stime
    return {"memory_mb": round(memory, 1), "cpu_s": round(cpu, 2), "threads": threading.active_count()}
