"""Rows in, raised and cleared limits out. No I/O, no clock of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Severity
from edgeloop.alarms.alarm import SEVERITIES
from edgeloop.clock import NS
from edgeloop.config import units
from edgeloop.join.asof import column
from edgeloop.limits.expression import Expression, Operand, Truth
from edgeloop.limits.limit import Limit, LimitKind
from edgeloop.limits.window import Window
from edgeloop.wire.batch import Batch, RecordBatch, row_times


@dataclass(frozen=True, slots=True)
class Judgement:
    """A limit that is passed, or no longer. index, time: of the sample that decided; value: what was above or below.

    epoch: 0 where several streams decide, whose indices say nothing of each other.
    """

    limit: str
    kind: LimitKind
    active: bool
    asset: str
    severity: Severity
    text: str
    stream: str
    epoch: int
    index: int
    time: int
    value: float


@dataclass(slots=True)
class _Level:
    """One threshold or condition, and how it stands. active: None before anything is known."""

    kind: LimitKind
    bound: float = 0.0
    active: bool | None = None
    turned: int | None = None
    """ns since when it is other than `active`."""


class _Judge:
    """One limit."""

    def __init__(self, id: str, limit: Limit) -> None:
        self.id, self.limit = id, limit
        self.expression = Expression(limit.condition) if limit.condition else None
        self.when = Expression(limit.when) if limit.when else None
        self.own = None if self.expression is not None else limit.operand(id)
        operands = [*(self.expression.operands if self.expression else ()), *(self.when.operands if self.when else ())]
        self.operands = tuple(dict.fromkeys([*([self.own] if self.own else []), *operands]))
        levels: list[tuple[LimitKind, float | None]] = [
            ("high_high", limit.high_high), ("high", limit.high), ("low", limit.low), ("low_low", limit.low_low),
        ]  # fmt: skip
        self.levels = (
            [_Level("limit")]
            if self.expression
            else [_Level(kind, bound) for kind, bound in levels if bound is not None]
        )
        self.windows = {o: Window(o.function, o.window) for o in self.operands if o.window}
        self.held: dict[Operand, tuple[int, Any]] = {}
        self.unit = ""
        self.streams: set[str] = set()
        self.newest = 0
        self.found: set[Operand] = set()

    def truth(self, level: _Level, values: Mapping[Operand, Any]) -> Truth:
        if self.expression is not None:
            yes, no = self.expression.judge(values)
        else:
            assert self.own is not None
            value, bound, band = values[self.own], level.bound, self.limit.deadband
            yes, no = (
                (value > bound, value <= bound - band)
                if level.kind.startswith("high")
                else (value < bound, value >= bound + band)
            )
        if self.when is not None:
            runs, stands = self.when.judge(values)
            yes, no = yes & runs, no | stands
        return yes, no


@dataclass(slots=True)
class _Source:
    """Where a name was found."""

    stream: str
    others: set[str] = field(default_factory=set)


class Limits:
    """All limits of a device. `take` items in order of arrival; `problems` has what is wrong, by limit."""

    def __init__(self, limits: Mapping[str, Limit] | None = None) -> None:
        self._judges: dict[str, _Judge] = {}
        self._found: dict[str, _Source] = {}
        self._plans: dict[str, tuple[object, list[tuple[_Judge, list[tuple[Operand, str, int]]]]]] = {}
        self.problems: dict[str, str] = {}
        self.apply(limits or {})

    def apply(self, limits: Mapping[str, Limit]) -> None:
        """New ones; what has not changed goes on as it stands."""
        known = self._judges
        self._judges = {
            id: known[id] if id in known and known[id].limit == limit else _Judge(id, limit)
            for id, limit in limits.items()
        }
        self._plans.clear()
        self._found.clear()
        self.problems = {}

    def unheard(self) -> dict[str, str]:
        """By limit the first channel that it needs and that no item has had yet."""
        missing = {id: [o.name for o in j.operands if o not in j.found] for id, j in self._judges.items()}
        return {id: names[0] for id, names in missing.items() if names}

    def take(self, item: Batch | RecordBatch) -> list[Judgement]:
        if not self._judges or not len(item):
            return []
        plan = self._plan(item)
        if not plan:
            return []
        times = row_times(item)
        raw = item.values() if isinstance(item, Batch) else None
        found: list[Judgement] = []
        for judge, here in plan:
            values = self._values(judge, here, item, raw, times)
            if values is not None:
                found += self._judge(judge, values, item, times)
        return found

    def _plan(self, item: Batch | RecordBatch) -> list[tuple[_Judge, list[tuple[Operand, str, int]]]]:
        """The limits that an item concerns, with the operands that it has and their columns."""
        shape = item.channels if isinstance(item, Batch) else tuple(item.columns)
        known = self._plans.get(item.stream)
        if known is not None and (known[0] is shape or known[0] == shape):
            return known[1]
        names = [c.name for c in item.channels] if isinstance(item, Batch) else list(item.columns)
        plan = []
        for judge in self._judges.values():
            here = [
                (o, name, names.index(name))
                for o in judge.operands
                if (name := self._column(judge, o.name, item.stream, names))
            ]
            if here:
                plan.append((judge, here))
                judge.streams.add(item.stream)
                judge.found.update(operand for operand, _, _ in here)
                if isinstance(item, Batch) and judge.own is not None:
                    at = next((at for o, _, at in here if o == judge.own), -1)
                    judge.unit = item.channels[at].unit if at >= 0 else judge.unit
        self._plans[item.stream] = shape, plan
        return plan

    def _column(self, judge: _Judge, name: str, stream: str, names: list[str]) -> str:
        if name.startswith(f"{stream}.") and name[len(stream) + 1 :] in names:
            return name[len(stream) + 1 :]
        if name not in names:
            return ""
        source = self._found.setdefault(name, _Source(stream))
        if source.stream != stream:
            source.others.add(stream)
            streams = ", ".join(sorted({source.stream, *source.others}))
            self.problems[judge.id] = f"{name} is a channel of {streams}: say which, such as {source.stream}.{name}"
            return ""
        return name

    def _values(
        self, judge: _Judge, here: list[tuple[Operand, str, int]], item: Batch | RecordBatch, raw: Any, times: Any
    ) -> dict[Operand, Any] | None:
        """An array (n,) of each operand of a limit; those of other streams as they were last."""
        values: dict[Operand, Any] = {}
        for operand, name, at in here:
            value = raw[:, at] if raw is not None else _records(item, name)
            if operand.window:
                value = judge.windows[operand].add(times, np.asarray(value, dtype=np.float64))
            values[operand] = value
            judge.held[operand] = int(times[-1]), value[-1]
        for operand in judge.operands:
            if operand in values:
                continue
            if operand not in judge.held:
                return None
            seen, last = judge.held[operand]
            fresh = times - seen <= judge.limit.tolerance
            if isinstance(last, str):
                values[operand] = np.array([last if ok else None for ok in fresh], dtype=object)
            else:
                values[operand] = np.where(fresh, float(last), np.nan)
        return values

    def _judge(
        self, judge: _Judge, values: Mapping[Operand, Any], item: Batch | RecordBatch, times: NDArray[np.int64]
    ) -> list[Judgement]:
        found: list[Judgement] = []
        for level in judge.levels:
            yes, no = judge.truth(level, values)
            if level.turned is None and ((level.active is False and not yes.any()) or (level.active and not no.any())):
                continue
            for row, active in self._turns(judge, level, yes, no, times):
                value = float("nan") if judge.own is None else float(values[judge.own][row])
                found.append(self._told(judge, level, active, item, row, int(times[row]), value))
        return found

    def _turns(self, judge: _Judge, level: _Level, yes: Any, no: Any, times: Any) -> Iterable[tuple[int, bool]]:
        """(row, active) where a level turns for good, after its delays."""
        known = np.flatnonzero(yes | no)
        if not len(known):
            return
        states = yes[known]
        changes = np.concatenate([[0], np.flatnonzero(states[1:] != states[:-1]) + 1])
        ends = np.append(changes[1:], len(states))
        for begin, end in zip(changes.tolist(), ends.tolist(), strict=True):
            state = bool(states[begin])
            if state == level.active:
                level.turned = None
                continue
            since = level.turned
            if since is None:
                since = level.turned = int(times[known[begin]])
            delay = int(judge.limit.hold if state else judge.limit.off)
            if level.active is None and not state:
                delay = 0
            rows = known[begin:end]
            ripe = np.flatnonzero(times[rows] - since >= delay)
            if len(ripe):
                level.active, level.turned = state, None
                yield int(rows[ripe[0]]), state

    def _told(
        self, judge: _Judge, level: _Level, active: bool, item: Batch | RecordBatch, row: int, time: int, value: float
    ) -> Judgement:
        limit = judge.limit
        severity = limit.severity
        if level.kind in ("high_high", "low_low"):
            severity = SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]
        return Judgement(
            judge.id, level.kind, active, limit.asset or item.stream, severity,
            limit.text or _words(judge, level, value),
            item.stream, 0 if len(judge.streams) > 1 else item.epoch, item.index + row, time, value,
        )  # fmt: skip


def _words(judge: _Judge, level: _Level, value: float) -> str:
    limit = judge.limit
    lasting = f" for {limit.hold}" if limit.hold else ""
    if judge.own is None:
        return f"{limit.condition}{lasting}"
    unit = f" {units.shown(judge.unit)}".rstrip()
    of = f" ({judge.own.function} of {judge.own.window / NS:g} s)" if judge.own.window else ""
    side = "above" if level.kind.startswith("high") else "below"
    return f"{judge.own.name}{of} is {value:.4g}{unit}, {side} {level.bound:g}{unit}{lasting}"


def _records(item: Batch | RecordBatch, name: str) -> NDArray[Any]:
    said = [value for _, value in column(item, name) or ()]
    if said and isinstance(said[0], str):
        return np.array(said, dtype=object)
    return np.array(said, dtype=np.float64)
