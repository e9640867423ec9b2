"""The detectors of one monitor, by name, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.held import Held
from anomaly_inference.learning import LearningWindow
from anomaly_inference.stream_input import BLOCKS_FROM, Layout
from edgeloop.clock import NS
from edgeloop.detect.display import display
from edgeloop.detect.learning import adapting_rows, learning_rows
from edgeloop.detect.ledger import EVERY, EXTRA, PATIENT, Ledger
from edgeloop.detect.models import Models, Provider
from edgeloop.detect.outside import OutsideDetector
from edgeloop.detect.protocol import Bool, Context, Detector, Float, Registry, Rows, Scores, Setup, State, Words
from edgeloop.detect.regimes import Overstay, Regimes
from edgeloop.detect.registry import DETECTORS
from edgeloop.detect.season.registered import SLOW

LEVELS_FROM = 2.0
"""Hz: from here on a condition is a level, of the last row or over seconds; below, a state over many rows."""
MODELS, LASTING, SEASON = "models", "lasting", "season"
WAITING = ("states", "levels")
"""Detectors that learn a window as a whole, once it says enough."""
AUTO = 60.0
"""s that are learned where a detector asks, and the monitor learns as long as it takes."""
NEAR, RELEASED = 5, 0.5
"""Rows in succession that a monitor that has spent nothing would tell, which are one that is held; overdraft at which
what was held is forgotten."""
ADAPT_SHARE, ADAPT_ROWS, ADAPT_MOST = 20, 24, 2 * 86_400.0
"""A state that lasts for this share of the budget's time, so many rows at least and s at most, is a new normal."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of n rows, all (n,): return times in log10 s of conditions and of points, and what is decided.

    settled, returned: a lasting state has become a new normal, a former one is back;
    models: whether one of them finds it abnormal; returns: their return times, by name; parts: by detector.
    """

    condition: Float
    abnormal: Bool
    changepoint: Bool
    event: Float
    alert: Bool
    models: Bool
    learning: Bool
    settled: Bool
    returned: Bool
    parts: Mapping[str, Scores] = field(default_factory=dict)
    returns: Mapping[str, float] = field(default_factory=dict)


class MonitorDetectors:
    """step: seconds between rows; budget: log10 s."""

    def __init__(
        self,
        name: str,
        config: configuration.Monitor,
        layout: Layout,
        provider: Provider,
        registry: Registry = DETECTORS,
    ) -> None:
        self._registry = registry
        self._names: dict[str, tuple[str, ...]] = {}
        self.step = layout.step
        self.budget = math.log10(config.budget / NS)
        self._setup = Setup(
            monitor=name,
            columns=layout.names,
            channels=layout.channels,
            step=layout.step,
            rate=1 / layout.sample_step,
            budget=self.budget,
            learn=(config.learn or AUTO) / NS,
            memory=config.memory / NS,
            confirm=config.confirm / NS,
            recover=config.recover / NS,
            adapt=self._adapt(config),
            features=layout.features.features + layout.features.levels if layout.features is not None else (),
            models=tuple(config.models.split()),
            provider=provider,
        )
        wanted = _wanted(config, layout)
        self._judges = [name for name in wanted if name in WAITING]
        self._parts: dict[str, Detector] = {n: registry[n].make(self._setup) for n in wanted if n not in self._judges}
        self.models = self._models(self._setup)
        self._learn, self._seen = learning_rows(self._setup.learn, self._setup.step), 0
        self._fixed = config.learn / NS
        self.alone = bool(self._judges) and not config.when and not config.per
        self._columns = _columns(layout)
        self.regimes = Regimes(self._columns)
        self._overstay = Overstay(adapting_rows(self._setup.adapt, self.step))
        self._which = np.zeros(0, dtype=np.intp)
        self._skipped = self._near = 0
        self._abnormal, self._taught = False, 0.0
        self.held = Held()
        self._start()
        extra = PATIENT if self.step >= SLOW else EXTRA
        self.ledger = Ledger(10.0 ** (self.budget - math.log10(self.step)), self._learn, extra)
        self._around = Context()

    def _start(self) -> None:
        """What is learned is learned from here on."""
        self._window: LearningWindow | None = None
        if self._judges:
            seconds = 10.0**self.budget
            self._window = LearningWindow(self._fixed, self.step, seconds, self._columns, alone=self.alone)

    def _judge(self, learn: float) -> None:
        """The detectors of conditions, for a learning window of so many s."""
        self._names.clear()
        setup = replace(self._setup, learn=learn)
        self._parts |= {name: self._registry[name].make(setup) for name in self._judges}

    def _adapt(self, config: configuration.Monitor) -> float:
        """Seconds after which a state that lasts is offered as a new normal."""
        if config.adapt is not None:
            return config.adapt / NS
        return max(ADAPT_ROWS * self.step, min(config.budget / NS / ADAPT_SHARE, ADAPT_MOST))

    def _models(self, setup: Setup) -> Models:
        models = self._registry[MODELS].make(setup)
        assert isinstance(models, Models)
        self._parts[MODELS] = models
        self._names.clear()
        return models

    def _telling(self, tells: str) -> tuple[str, ...]:
        if tells not in self._names:
            self._names[tells] = tuple(name for name in self._parts if self._registry[name].tells == tells)
        return self._names[tells]

    def display(self, return_time: float) -> float:
        """A return time on a scale from 0 to 1."""
        return display(return_time, least=math.log10(self.step), budget=self.budget)

    @property
    def missing(self) -> str:
        """What has to be seen until enough is learned, in words."""
        return self._window.missing if self._window is not None else ""

    @property
    def learned(self) -> float:
        if self._window is not None:
            return self._window.learned
        streaming = self._telling("condition") or self._telling("event")
        return min((self._parts[name].learned for name in streaming), default=min(1.0, self._seen / self._learn))

    def pieces(self, rows: Rows) -> Iterator[tuple[int, Rows]]:
        """(first, rows) between which the demand may change."""
        at, samples = 0, rows.samples
        while at < len(rows):
            end = min(len(rows), at + self.ledger.left)
            own = samples[at:end] if len(samples) == len(rows) else samples
            yield at, Rows(rows.times[at:end], rows.values[at:end], own)
            at = end

    def update(self, rows: Rows, context: str) -> Verdict:
        """Each detector sees the rows once; they are a piece, and `watched` is to be told."""
        if self.ledger.rows % EVERY == 0:
            step = math.log10(self.step)
            demand, base = self.ledger.demand + step, self.ledger.base + step
            self._around = Context("", demand, base, self.ledger.points, self.ledger.rows / self.ledger.budget)
            self.regimes.teach = not self._abnormal
            if self.ledger.overdraft < RELEASED:
                self.held.release()
        n, around = len(rows), self._around if not context else replace(self._around, name=context)
        parts = {name: part.update(rows, around) for name, part in self._parts.items() if name not in self._judges}
        parts |= self._conditions(rows, around)
        conditions = [parts[name] for name in (*self._telling("condition"), LASTING) if name in parts]
        if self._window is not None or not conditions:
            conditions += [parts[name] for name in self._judges if name not in self._parts]
        events = [parts[name] for name in self._telling("event")]
        learning = _any(n, (s.learning for s in (conditions or events)))
        if not conditions and not events:
            learning = self._seen + np.arange(n) < self._learn
        self._seen = min(self._seen + n, self._learn)
        abnormal = _any(n, (s.alert for s in conditions))
        self._abnormal = bool(n and abnormal[-1])
        self._hold(rows.times, condition := _largest(n, (s.return_time for s in conditions)), abnormal)
        return Verdict(
            condition=condition,
            abnormal=abnormal,
            changepoint=_any(n, (s.changepoint for s in conditions)),
            event=_largest(n, (s.return_time for s in events)),
            alert=_any(n, (s.alert & ~s.learning for s in events)),
            models=parts[MODELS].alert,
            learning=learning,
            settled=_any(n, (s.settled for s in conditions)),
            returned=_any(n, (s.returned for s in conditions)),
            parts=parts,
            returns=self.models.scored(),
        )

    def _hold(self, times: NDArray[np.int64], scores: Float, abnormal: Bool) -> None:
        """What would have been an alarm, had nothing been spent, is held: NEAR rows in succession."""
        base, demand = self._around.base, self._around.demand
        if base is None or demand is None or demand <= base:
            self._near = 0
            return
        near = (scores >= base) & ~abnormal
        if not near.any():
            self._near = 0
            return
        for i, far in enumerate(near.tolist()):
            self._near = self._near + 1 if far else 0
            if self._near == NEAR:
                self.held.add(self.ledger.rows + i, int(times[i]), i)

    def _conditions(self, rows: Rows, around: Context) -> dict[str, Scores]:
        """Of those that judge conditions: nothing while rows wait, then each of the rows."""
        n, used = len(rows), 0
        self._skipped = 0
        if self._window is not None:
            used = self._window.add(rows, around.name)
            if self._window.whole:
                self._teach(self._window)
        found: dict[str, Scores] = {}
        if used == n and n:
            for name in self._judges:
                found[name] = replace(Scores.none(n), learning=np.ones(n, dtype=np.bool_))
            self._which, self._skipped = np.full(n, self.regimes.now), n
            return found
        self._skipped = used
        values, whole = rows.values[used:], len(rows.samples) == n
        if self.alone:
            passage = self.regimes.update(values)
            self._which = np.concatenate([np.full(used, self.regimes.now), passage.which])
            demand = self._around.demand or self.budget
            found[LASTING] = _after(self._overstay.update(passage, demand, math.log10(self.step)), used)
            values = passage.rows
        else:
            self._which = np.zeros(0, dtype=np.intp)
        rest = Rows(rows.times[used:], values, rows.samples[used:] if whole else rows.samples)
        for name in self._judges:
            found[name] = _after(self._parts[name].update(rest, around), used)
        return found

    def _teach(self, window: LearningWindow) -> None:
        """All that waited, as in the most usual of the states that are in it."""
        self._taught = window.rows * self.step
        self._judge(self._taught)
        self.ledger.learned(window.rows)
        mapped = self.regimes.learn(window.values).rows if self.alone else None
        at = 0
        for context, times, values in window.segments():
            own = values if mapped is None else mapped[at : at + len(values)]
            at += len(values)
            for name in self._judges:
                self._parts[name].update(Rows(times, own, own), Context(context))
        self._window = None

    def cost(self, return_time: float) -> float:
        """Of a condition's alarm (log10 s): nothing where it is so obvious that it is told whatever was spent."""
        return 0.0 if self.ledger.overdraft and return_time < (self._around.demand or 0.0) else 1.0

    def words(self, verdict: Verdict, at: int, tells: str = "condition") -> Words:
        """Of a row of the last update, by the detector that says so the loudest."""
        names = [name for name in self._telling(tells) if name in verdict.parts]
        if tells == "condition" and LASTING in verdict.parts and verdict.parts[LASTING].return_time[at] > 0:
            names.append(LASTING)
        if not names:
            return "unusual", ()
        loudest = max(names, key=lambda n: (verdict.parts[n].alert[at], verdict.parts[n].return_time[at]))
        if loudest == LASTING:
            return self._lasts(at)
        if loudest not in self._judges:
            return self._parts[loudest].words(at)
        if at < self._skipped:
            return "unusual", ()
        return self._within(self._parts[loudest].words(at - self._skipped), at)

    def _lasts(self, at: int) -> Words:
        k = int(self._which[at])
        name = self.regimes.name(k)
        usual = np.median(self.regimes.all[k].durations) * self.step
        return f"{name} for longer than ever, as a rule for {_about(float(usual))}", ()

    def _within(self, words: Words, at: int) -> Words:
        """In a state other than the usual one amounts are not those of the channel: how far it is says it all."""
        k = int(self._which[at]) if len(self._which) else self.regimes.now
        if not words[1] or not self.regimes.several or k == self.regimes.usual:
            return words
        first = words[1][0]
        direction = "higher" if first.z > 0 else "lower"
        what = first.channel if first.band == "value" else f"{first.band} of {first.channel}"
        text = f"{what} {direction} ({abs(first.z):.0f} spreads) while {self.regimes.name(k)}"
        return text, tuple(msgspec.structs.replace(part, ratio=1.0) for part in words[1])

    @property
    def problem(self) -> str:
        """Of the detectors of the line's owner; empty: none."""
        return "; ".join(p.problem for p in self._parts.values() if isinstance(p, OutsideDetector) and p.problem)

    @property
    def streaming(self) -> bool:
        """Whether a detector other than models looks for conditions."""
        return bool(self._judges or self._telling("condition"))

    def interrupt(self) -> None:
        for part in self._parts.values():
            part.interrupt()
        self.regimes.interrupt()

    def calm(self) -> None:
        for part in self._parts.values():
            part.calm()
        self._overstay.calm()

    def accept(self) -> None:
        for part in self._parts.values():
            part.accept()

    def relearn(self) -> None:
        for name in self._judges:
            self._parts.pop(name, None)
        self._names.clear()
        for part in self._parts.values():
            part.relearn()
        self.regimes.relearn()
        self._overstay.calm()
        self._seen = 0
        self._start()

    def state(self) -> State:
        last = self._around
        around = [last.demand or self.budget, last.base or self.budget, last.overdraft, last.watched]
        own: State = {"seen": np.array([self._seen]), "around": np.array(around)} | self.ledger.state()
        own["found"] = np.array([self._taught, self._abnormal, self._near, self._fixed], dtype=np.float64)
        own |= self._overstay.state() | {f"held.{k}": v for k, v in self.held.state().items()}
        own |= {f"regimes.{k}": v for k, v in self.regimes.state().items()}
        if self._window is not None:
            own |= {f"window.{k}": v for k, v in self._window.state().items()}
        for name, part in self._parts.items():
            own[f"{name}.schema"] = np.array([self._registry[name].schema])
            own |= {f"{name}.own.{k}": v for k, v in part.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False where what was learned is of other features or settings, or of a schema that is not read any more."""
        if "found" in state and self._fixed and float(state["found"][3]) != self._fixed:
            return False
        window = {k.removeprefix("window."): v for k, v in state.items() if k.startswith("window.")}
        if window and self._window is not None:
            self._window.restore(window)
        elif self._judges:
            self._window = None
            self._taught = float(state["found"][0]) if "found" in state else self._setup.learn
            self._judge(self._taught)
        for name, part in self._parts.items():
            kind, begin = self._registry[name], f"{name}.own."
            if (isinstance(part, OutsideDetector) or name == SEASON) and f"{name}.schema" not in state:
                continue
            schema = int(state[f"{name}.schema"][0])
            known = {k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)}
            if schema not in (kind.schema, *kind.reads):
                if isinstance(part, OutsideDetector):
                    continue
                return False
            if not part.restore(known):
                return False
        self._seen = int(state["seen"][0])
        if "ledger" in state:
            self.ledger.restore(state)
            self._around = Context("", *(float(n) for n in state["around"]))
        if "found" in state:
            self._abnormal, self._near = bool(state["found"][1]), int(state["found"][2])
            self._overstay.restore(state)
            self.held.restore({k[5:]: v for k, v in state.items() if k.startswith("held.")})
            self.regimes.restore({k[8:]: v for k, v in state.items() if k.startswith("regimes.")})
        return True


def _wanted(config: configuration.Monitor, layout: Layout) -> list[str]:
    """Names of the detectors that `detect` asks for, at this rate."""
    detect = config.detect.split()
    fast = 1 / layout.sample_step
    states = "states" in detect or ("conditions" in detect and (fast >= BLOCKS_FROM or fast < LEVELS_FROM))
    found = []
    if layout.features is None and states:
        found.append("states")
    elif {"conditions", "levels", "states"} & set(detect):
        found.append("levels")
    if layout.features is None and "events" in detect:
        found.append("events")
    if layout.step >= SLOW and "conditions" in detect and not (config.when or config.per) and SEASON not in detect:
        found.append(SEASON)
    return found + [name for name in detect if name not in ("conditions", "levels", "states", "events")]


def _columns(layout: Layout) -> tuple[str, ...]:
    """What rows are made of, as people read it."""
    if layout.features is None:
        return layout.names
    features = layout.features.features + layout.features.levels
    return tuple(f"{f.name} of {f.channel}" for f in features) + layout.names[len(layout.channels) :]


def _after(scores: Scores, used: int) -> Scores:
    """Scores of the rows after so many that were learned."""
    if not used:
        return scores
    before = Scores.none(used)
    pairs = {f.name: (getattr(before, f.name), getattr(scores, f.name)) for f in fields(Scores)}
    joined = {name: np.concatenate(pair) for name, pair in pairs.items()}
    joined["learning"][:used] = True
    return Scores(**joined)


def _about(seconds: float) -> str:
    """
    >>> _about(8.2), _about(400.0), _about(90_000.0)
    ('8 s', '7 min', '25 h')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _any(n: int, flags: Iterable[Bool]) -> Bool:
    found = list(flags)
    if len(found) == 1:
        return found[0]
    return np.asarray(np.logical_or.reduce(found)) if found else np.zeros(n, dtype=np.bool_)


def _largest(n: int, numbers: Iterable[Float]) -> Float:
    found = list(numbers)
    if len(found) == 1:
        return found[0]
    return np.asarray(np.maximum.reduce(found)) if found else np.zeros(n)
