"""SensorIngest from where its samples arrive: silence, what was never heard, and a bus that carries nothing."""

from __future__ import annotations

import time
from typing import Final

from anomaly_inference.engine import Engine
from edgeloop.alarms import NO_MONITOR, Alarm, Cause

SILENT: Final = 15.0
"""s without any sample: a problem of health, and the alarm `silent`."""
FIRST: Final = 30.0
"""s until the alarm where nothing has arrived since the start: sources connect meanwhile."""
_LONGER: Final = 3.0
"""Times the longest pause so far: a source that speaks once a minute is not silent between."""
DEAF: Final = 2.0
"""s in which the journal grows and no notice arrives, or an action has no result: the bus is looked at then."""


class Silence:
    """Told of what arrives, with a monotonic clock in seconds."""

    def __init__(self, now: float | None = None) -> None:
        self._start = self._heard = self._noticed = time.monotonic() if now is None else now
        self._longest = 0.0
        self._any = False
        self._waiting: dict[str, float] = {}

    def heard(self, now: float) -> None:
        """Samples have arrived, by the bus or out of the journal."""
        if self._any:
            self._longest = max(self._longest, now - self._heard)
        self._heard, self._any = now, True

    def noticed(self, now: float) -> None:
        """A notice has arrived by the bus."""
        self._noticed = now

    def asked(self, action: str, now: float) -> None:
        """An action went out."""
        self._waiting[action] = now

    def answered(self, action: str) -> None:
        self._waiting.pop(action, None)

    def silent(self, now: float) -> float:
        """For how long nothing has arrived, in s; 0 where that is no silence."""
        pause = now - self._heard
        return pause if pause >= max(SILENT, _LONGER * self._longest) else 0.0

    def alarming(self, now: float) -> bool:
        return self.silent(now) > 0 and (self._any or now - self._start >= FIRST)

    def deaf(self, now: float) -> bool:
        """Whether the bus ought to be looked at: told once for each occasion."""
        late = [action for action, at in self._waiting.items() if now - at >= DEAF]
        for action in late:
            del self._waiting[action]
        unnoticed = self._any and now - self._heard < DEAF / 2 and now - self._noticed >= DEAF
        if unnoticed:
            self._noticed = now
        return bool(late) or unnoticed


class Unheard:
    """Who waits for what has never arrived. Told with a monotonic clock in seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def line(self, now: float) -> str:
        """Who has waited for SILENT; empty where nobody has."""
        late = sorted(name for name, since in self._since.items() if now - since >= SILENT)
        return f"nothing has arrived since the start of what is watched by {', '.join(late)}" if late else ""

    def listen(self, engine: Engine, now: float, sample: int) -> list[Alarm]:
        """An alarm of each who has waited for FIRST, unless nothing speaks at all; over with the first sample.

        sample: ns UTC."""
        waiting, book, changed = engine.unheard(), engine.book, []
        self._since = {name: self._since.get(name, now) for name in waiting}
        nothing = book.find(NO_MONITOR, "silent") is not None
        for name, (asset, what) in waiting.items():
            if now - self._since[name] >= FIRST and not nothing and book.find(name, "silent") is None:
                changed += book.raise_(
                    name, "silent", asset=asset, severity="medium", text=f"no samples of {what} since the start",
                    cause=Cause(stream=what), now=sample, sample=sample,
                )  # fmt: skip
        for alarm in book.open:
            if alarm.kind == "silent" and alarm.active and alarm.monitor not in {*waiting, NO_MONITOR}:
                changed += book.clear(alarm.monitor, "silent", cause=alarm.cause, now=sample, sample=sample)
        return changed
