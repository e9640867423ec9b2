"""What another budget would have meant: alarms of the last day counted from the return times that were seen."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import msgspec

from console.live import Live
from edgeloop import clock
from edgeloop.config.quantities import Budget
from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError

MINUTES: Final = 1_440
SAVE: Final = 600.0
DEFAULT: Final = "1 alarm/week"
"""Of a monitor that names none."""
STEPS: Final = ("1 alarm/hour", "1 alarm/day", "1 alarm/week", "1 alarm/month", "1 alarm/year")


class _File(msgspec.Struct, frozen=True):
    monitors: dict[str, list[tuple[int, float]]] = {}


class ReturnTimes:
    """The highest return time (log10 s) of each minute and monitor, of a day."""

    def __init__(self, path: Path, problem: Any) -> None:
        self._problem = problem
        self._lock = threading.Lock()
        self._saved = time.monotonic()
        self._changed = False
        self._file = Document(path, _File, _File)
        self._minutes = {name: deque(rows, MINUTES) for name, rows in self._file.load().monitors.items()}

    def look(self, live: Live) -> None:
        """To be called about once a second."""
        minute = clock.now() // (60 * clock.NS)
        with self._lock:
            for name, result in live.monitors().items():
                if result.get("state") not in ("live", "shadow") or time.monotonic() - result["received"] > 5:
                    continue
                value = max(float(result.get("return_time", 0)), float(result.get("event", 0)))
                rows = self._minutes.setdefault(name, deque(maxlen=MINUTES))
                if rows and rows[-1][0] == minute:
                    rows[-1] = minute, max(rows[-1][1], value)
                else:
                    rows.append((minute, value))
                self._changed = True
        if self._changed and time.monotonic() - self._saved >= SAVE:
            self.save()

    def save(self) -> None:
        self._saved, self._changed = time.monotonic(), False
        with self._lock:
            document = _File({name: list(rows) for name, rows in self._minutes.items()})
        try:
            self._file.save(document)
        except OSError as error:
            self._problem("return times", f"cannot keep the day's return times: {error.strerror}; free disk space")
        else:
            self._problem("return times", None)

    def day(self, monitor: str, text: str) -> dict[str, Any]:
        """The last day by the minute beside what a budget demands, as a chart's points; values in log10 s."""
        with self._lock:
            rows = list(self._minutes.get(monitor, ()))
        try:
            demand = round(math.log10(int(Budget(text)) / clock.NS), 3)
        except ValueError:
            demand = None
        values = [[round(value, 3) for _, value in rows], [demand] * len(rows)]
        return {
            "stream": monitor, "from": "raw", "channels": ["return time", "budget"], "units": ["", ""],
            "times": [minute * 60_000 for minute, _ in rows], "low": values, "high": values, "mean": values,
        }  # fmt: skip

    def effect(self, monitor: str, text: str) -> dict[str, Any]:
        """How many alarms a budget would have raised, and those beside it. Minutes in a row are one alarm."""
        try:
            asked = Budget(text)
        except ValueError as error:
            raise EdgeloopError("not a budget", where=text[:40], why=str(error), mend="such as 1 alarm/week") from None
        with self._lock:
            rows = list(self._minutes.get(monitor, ()))
        if not rows:
            raise EdgeloopError("nothing is known of the monitor yet", where=monitor[:40], mend="wait until it is live")
        beside = [{"budget": step, "alarms": _alarms(rows, Budget(step))} for step in STEPS]
        return {
            "monitor": monitor, "budget": text, "alarms": _alarms(rows, asked),
            "watched_minutes": len(rows), "beside": beside,
        }  # fmt: skip


def _alarms(rows: list[tuple[int, float]], budget: Budget) -> int:
    demand = math.log10(int(budget) / clock.NS)
    over = [minute for minute, value in rows if value >= demand]
    return sum(1 for before, minute in zip([-9, *over], over, strict=False) if minute - before > 1)
