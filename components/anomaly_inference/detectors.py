"""The detectors of one monitor, by name, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.stream_input import BLOCKS_FROM, Layout
from edgeloop.clock import NS
from edgeloop.detect.display import display
from edgeloop.detect.learning import learning_rows
from edgeloop.detect.ledger import EVERY, Ledger
from edgeloop.detect.models import Models, Provider
from edgeloop.detect.protocol import Bool, Context, Detector, Float, Rows, Scores, Setup, State, Words
from edgeloop.detect.registry import DETECTORS

LEVELS_FROM = 2.0
"""Hz: from here on a condition is a level, of the last row or over seconds; below, a state over many rows."""
MODELS = "models"
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

    def __init__(self, name: str, config: configuration.Monitor, layout: Layout, provider: Provider) -> None:
        self.step = layout.step
        self.budget = math.log10(config.budget / NS)
        setup = Setup(
            monitor=name,
            columns=layout.names,
            channels=layout.channels,
            step=layout.step,
            rate=1 / layout.sample_step,
            budget=self.budget,
            learn=config.learn / NS,
            memory=config.memory / NS,
            confirm=config.confirm / NS,
            recover=config.recover / NS,
            adapt=self._adapt(config),
            features=layout.features.features + layout.features.levels if layout.features is not None else (),
            models=tuple(config.models.split()),
            provider=provider,
        )
        self._parts: dict[str, Detector] = {n: DETECTORS[n].make(setup) for n in _wanted(config, layout)}
        self.models = self._models(setup)
        self._learn, self._seen = learning_rows(setup.learn, setup.step), 0
        self.ledger = Ledger(10.0 ** (self.budget - math.log10(self.step)), self._learn)
        self._around = Context()

    def _adapt(self, config: configuration.Monitor) -> float:
        """Seconds after which a state that lasts is offered as a new normal."""
        if config.adapt is not None:
            return config.adapt / NS
        return max(ADAPT_ROWS * self.step, min(config.budget / NS / ADAPT_SHARE, ADAPT_MOST))

    def _models(self, setup: Setup) -> Models:
        models = DETECTORS[MODELS].make(setup)
        assert isinstance(models, Models)
        self._parts[MODELS] = models
        return models

    def _telling(self, tells: str) -> list[str]:
        return [name for name in self._parts if DETECTORS[name].tells == tells]

    def display(self, return_time: float) -> float:
        """A return time on a scale from 0 to 1."""
        return display(return_time, least=math.log10(self.step), budget=self.budget)

    @property
    def learned(self) -> float:
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
        n, around = len(rows), replace(self._around, name=context)
        parts = {name: part.update(rows, around) for name, part in self._parts.items()}
        conditions = [parts[name] for name in self._telling("condition")]
        events = [parts[name] for name in self._telling("event")]
        learning = _any(n, (s.learning for s in (conditions or events)))
        if not conditions and not events:
            learning = self._seen + np.arange(n) < self._learn
        self._seen = min(self._seen + n, self._learn)
        return Verdict(
            condition=_largest(n, (s.return_time for s in conditions)),
            abnormal=_any(n, (s.alert for s in conditions)),
            changepoint=_any(n, (s.changepoint for s in conditions)),
            event=_largest(n, (s.return_time for s in events)),
            alert=_any(n, (s.alert for s in events)),
            models=parts[MODELS].alert,
            learning=learning,
            settled=_any(n, (s.settled for s in conditions)),
            returned=_any(n, (s.returned for s in conditions)),
            parts=parts,
            returns=self.models.scored(),
        )

    def cost(self, return_time: float) -> float:
        """Of a condition's alarm (log10 s): nothing where it is so obvious that it is told whatever was spent."""
        return 0.0 if self.ledger.overdraft and return_time < (self._around.demand or 0.0) else 1.0

    def words(self, verdict: Verdict, at: int, tells: str = "condition") -> Words:
        """Of a row of the last update, by the detector that says so the loudest."""
        names = self._telling(tells)
        if not names:
            return "unusual", ()
        loudest = max(names, key=lambda n: (verdict.parts[n].alert[at], verdict.parts[n].return_time[at]))
        return self._parts[loudest].words(at)

    @property
    def streaming(self) -> bool:
        """Whether a detector other than models looks for conditions."""
        return bool(self._telling("condition"))

    def interrupt(self) -> None:
        for part in self._parts.values():
            part.interrupt()

    def calm(self) -> None:
        for part in self._parts.values():
            part.calm()

    def accept(self) -> None:
        for part in self._parts.values():
            part.accept()

    def relearn(self) -> None:
        for part in self._parts.values():
            part.relearn()
        self._seen = 0

    def state(self) -> State:
        last = self._around
        around = [last.demand or self.budget, last.base or self.budget, last.overdraft, last.watched]
        own: State = {"seen": np.array([self._seen]), "around": np.array(around)} | self.ledger.state()
        for name, part in self._parts.items():
            own[f"{name}.schema"] = np.array([DETECTORS[name].schema])
            own |= {f"{name}.own.{k}": v for k, v in part.state().items()}
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False where what was learned is of other features or settings, or of a schema that is not read any more."""
        for name, part in self._parts.items():
            kind, begin = DETECTORS[name], f"{name}.own."
            schema = int(state[f"{name}.schema"][0])
            known = {k[len(begin) :]: v for k, v in state.items() if k.startswith(begin)}
            if schema not in (kind.schema, *kind.reads) or not part.restore(known):
                return False
        self._seen = int(state["seen"][0])
        if "ledger" in state:
            self.ledger.restore(state)
            self._around = Context("", *(float(n) for n in state["around"]))
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
    return found + [name for name in detect if name not in ("conditions", "levels", "states", "events")]


def _any(n: int, flags: Iterable[Bool]) -> Bool:
    found = np.zeros(n, dtype=np.bool_)
    for each in flags:
        found |= each
    return found


def _largest(n: int, numbers: Iterable[Float]) -> Float:
    found = list(numbers)
    return np.asarray(np.maximum.reduce(found)) if found else np.zeros(n)
