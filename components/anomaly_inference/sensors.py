"""What is wrong with a monitor's sensors: gap, flat line, range, clock; each a condition with words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly_inference.configuration import Monitor
from anomaly_inference.operating_state import OperatingState
from edgeloop.alarms import Kind
from edgeloop.clock import NS
from edgeloop.detect.sensor import Continuity, Event, FlatLine, Range, names, outside, seconds, unfit
from edgeloop.wire.batch import Batch

HOLD = 2 * NS
"""How long a momentary condition is shown, in ns."""


@dataclass(slots=True)
class Condition:
    """Whether something holds; a momentary one until a time (ns UTC)."""

    active: bool = False
    text: str = ""
    until: int = 0


class Sensors:
    """Conditions of one stream, by kind. All times are arrivals, ns UTC of this device."""

    def __init__(self, config: Monitor, channels: tuple[str, ...], step: float) -> None:
        self.config, self.channels = config, channels
        self.conditions: dict[Kind, Condition] = {kind: Condition() for kind in ("gap", "flat_line", "clock", "range")}
        self.continuity = Continuity(min(config.clock or NS, config.gap or NS, 100_000_000))
        limit = max(8, round(config.flat_line / NS / step)) if config.flat_line else 1 << 62
        self.flat = FlatLine(len(channels), limit, max(8, round(config.learn / NS / step)))
        self._ranges = {channels.index(name): Range.parse(text) for name, text in config.range.items()}
        self._unfit = self._examined = 0
        self._step = step
        self.step = 0
        self.broken = False
        self._gap = int(max(config.gap, 4 * step * NS)) if config.gap else 0

    def overlap(self, batch: Batch) -> int:
        """Samples at the start of a batch that were there before."""
        return self.continuity.overlap(batch.epoch, batch.index, len(batch))

    def arrived(self, batch: Batch, now: int) -> Event:
        """Gap and clock, from the batch's identity and times; `broken`: by those alone, it does not go on."""
        end = batch.end if batch.times is None else batch.end + round(self._step * NS)
        silent = now - self.continuity.last_arrival
        event = self.continuity.update(
            batch.epoch, batch.index, len(batch), batch.time, end, now, batch.discontinuity and batch.times is None
        )
        jumped = batch.times is None and self.continuity.jumped_ahead
        self.broken = self.continuity.broken or batch.discontinuity or jumped
        gap, clock, step = self.conditions["gap"], self.conditions["clock"], self.continuity.step
        hole = step + self.continuity.lost
        if event == "gap" and self._gap and hole >= self._gap:
            gap.active, gap.text, gap.until = True, f"no samples for {seconds(max(hole, silent))}", now + HOLD // 2
        elif event == "clock" and self.config.clock and abs(step) >= self.config.clock and batch.rate is not None:
            clock.active, clock.until, self.step = True, now + HOLD, step
            clock.text = f"time stamps stepped by {'+' if step > 0 else ''}{seconds(step)}"
        elif gap.active and not gap.until:
            gap.until = now + HOLD // 4
        return event

    def examine(self, raw: NDArray[np.generic], values: NDArray[np.floating], operating: OperatingState) -> None:
        """Flat line, over (n, channels) whether the machine runs or stands; range, where they are scored."""
        if operating.motion == "unknown":
            self.flat.forget()
            return
        live = operating.state == "live"
        self._examined += len(raw)
        self.flat.update(raw, standing=operating.motion == "stands", settled=live)
        self._flat()
        if not live:
            return
        bad = outside(values, self._ranges)
        self._unfit = self._unfit + len(values) if bad else 0
        self._range(bad, bool(bad) and bool(np.isfinite(values[:, bad]).any()))

    def examine_rows(
        self, raw: NDArray[np.generic], values: NDArray[np.floating], operating: OperatingState
    ) -> NDArray[np.bool_]:
        """`examine`, row by row: (n, channels) values that are not worth a score."""
        if operating.motion == "unknown":
            self.flat.forget()
            return np.zeros(raw.shape, dtype=bool)
        live = operating.state == "live"
        suspect = self.flat.rows(raw, standing=operating.motion == "stands", settled=live)
        self._flat()
        self._examined += len(raw)
        if live and not self._ranges and bool(np.isfinite(values).all()):
            self._unfit = 0
            self._range([], False)
        elif live:
            bad = unfit(values, self._ranges)
            good = np.flatnonzero(~bad.any(axis=1))
            self._unfit = len(bad) - 1 - int(good[-1]) if len(good) else self._unfit + len(bad)
            where = [int(i) for i in np.flatnonzero(bad[-1])]
            self._range(where, bool(np.isfinite(values[-1, where]).any()))
        return suspect

    def _flat(self) -> None:
        flat = self.conditions["flat_line"]
        flat.active = bool(self.flat.stuck.any())
        if flat.active:
            flat.text = f"flat line, channel {names(self.channels, self.flat.stuck)}"

    def _range(self, bad: list[int], finite: bool) -> None:
        condition = self.conditions["range"]
        condition.active = self._unfit * self._step * NS >= self.config.confirm and bool(bad)
        if condition.active:
            where = ", ".join(self.channels[i] for i in bad)
            condition.text = f"{'out of range' if finite else 'no numbers'}, channel {where}"

    def certain(self, kind: Kind) -> bool:
        """Whether enough was seen since the start to say that a condition does not hold."""
        if kind not in ("flat_line", "range"):
            return True
        return self._examined >= self.flat.limit and not (kind == "flat_line" and self.flat.undecided)

    def tick(self, now: int, newest: int) -> None:
        """newest: when any stream last delivered; silence counts only while others talk."""
        gap = self.conditions["gap"]
        last = self.continuity.last_arrival
        if self._gap and last and not gap.active and newest - last > self._gap:
            gap.active, gap.text, gap.until = True, f"no samples for {seconds(newest - last)}", 0
        for kind in ("gap", "clock"):
            condition = self.conditions[kind]
            if condition.active and condition.until and now >= condition.until:
                condition.active, condition.until = False, 0

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Numbers, and the conditions as JSON."""
        shown = {kind: [c.active, c.text, c.until] for kind, c in self.conditions.items()}
        numbers = [*self.continuity.state(), self._unfit, self._examined, self.step]
        own: dict[str, NDArray[np.generic]] = {
            "numbers": np.array([str(n) for n in numbers]),
            "conditions": np.frombuffer(msgspec.json.encode(shown), dtype=np.uint8),
        }
        return own | {f"flat.{k}": v for k, v in self.flat.state().items()}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        if "numbers" not in state:
            return False
        *continuity, self._unfit, self._examined, self.step = (int(n) for n in state["numbers"])
        self.continuity.restore(continuity)
        for kind, (active, text, until) in msgspec.json.decode(state["conditions"].tobytes()).items():
            self.conditions[kind] = Condition(active, text, until)
        self.flat.restore({k.removeprefix("flat."): v for k, v in state.items() if k.startswith("flat.")})
        return True
