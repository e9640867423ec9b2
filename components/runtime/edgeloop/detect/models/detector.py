"""Models that score a monitor's stream beside the streaming detectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeloop.detect.protocol import Context, Rows, Scores, Words
from edgeloop.detect.trigger import Trigger
from edgeloop.errors import EdgeloopError
from edgeloop.models.drift import Drift
from edgeloop.models.manifest import Manifest, Statistics, Window
from edgeloop.models.scoring import Scorer

State = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Serving:
    """A model that can be used: makes a scorer for each stream, and wants to hear what became of it.

    key: differs between two versions. used, failed: told the number of updates.
    """

    key: str
    manifest: Manifest
    scorer: Callable[[], Scorer]
    used: Callable[[], None]
    failed: Callable[[], None]


Provider = Callable[[str], Serving | None]
"""The model of a name as it is now, or None."""


@dataclass(slots=True)
class Model:
    """One model on one stream. problem: why it does not score; empty: it does."""

    name: str
    trigger: Trigger
    serving: Serving | None = None
    scorer: Scorer | None = None
    columns: tuple[int, ...] = ()
    problem: str = ""
    return_time: float = 0.0
    abnormal: bool = False
    drift: Drift | None = None

    @property
    def title(self) -> str:
        return f"model {self.name} {self.scorer.version}" if self.scorer else f"model {self.name}"


class Models:
    """The models of a monitor. rate: of its stream, Hz."""

    def __init__(
        self,
        monitor: str,
        names: Sequence[str],
        channels: Sequence[str],
        rate: float,
        trigger: Trigger,
        provider: Provider,
    ) -> None:
        self._channels, self._rate, self._provider = tuple(channels), rate, provider
        self._monitor = monitor
        self.all = tuple(Model(name, replace(trigger)) for name in names)
        self._kept: dict[str, State] = {}

    @property
    def abnormal(self) -> Model | None:
        """The one that says so the loudest."""
        found = [m for m in self.all if m.abnormal]
        return max(found, key=lambda m: m.return_time) if found else None

    @property
    def drift(self) -> str:
        """Which model's input is not what it was trained on, in words; empty: none's."""
        return "; ".join(
            f"{m.title}: channel {m.drift.worst[0]} is not as in training (stability index {m.drift.worst[1]:.2f})"
            for m in self.all
            if m.scorer is not None and m.drift is not None and m.drift.active
        )

    @property
    def problem(self) -> str:
        return "; ".join(f"{m.title}: {m.problem}" for m in self.all if m.problem)

    @property
    def learned(self) -> float:
        """They learn nothing here."""
        return 1.0

    def update(self, rows: Rows, context: Context) -> Scores:
        """Each row counts, or the block that it is made from as one."""
        samples, n = rows.samples, len(rows)
        each = len(samples) == n
        found = Scores.none(n)
        for model in self.all:
            self._refresh(model)
            if model.scorer is None or model.serving is None:
                continue
            try:
                times = model.scorer.update(samples[:, model.columns])
            except EdgeloopError as error:
                model.problem = str(error)
                model.serving.failed()
                continue
            model.problem = ""
            if model.drift is not None:
                model.drift.update(samples)
            model.serving.used()
            model.return_time = float(times.max(initial=0.0))
            for i, time in enumerate(times.tolist() if each else [model.return_time]):
                model.abnormal = model.trigger.update(time)
                found.alert[i] |= model.abnormal
                found.return_time[i] = max(found.return_time[i], time)
        return found

    def words(self, at: int) -> Words:
        """Of the one that says so the loudest now."""
        model = self.abnormal
        return (f"{model.title}: unlike what it has learned", ()) if model is not None else ("unusual", ())

    def scored(self) -> dict[str, float]:
        """The last return times (log10 s), by name."""
        return {m.name: m.return_time for m in self.all if m.scorer}

    def interrupt(self) -> None:
        for model in self.all:
            if model.scorer is not None:
                model.scorer.interrupt()

    def relearn(self) -> None:
        """There is nothing to forget."""
        self.calm()

    def accept(self) -> None:
        """A model has its own idea of what is normal."""

    def calm(self) -> None:
        """Nothing is abnormal any more."""
        for model in self.all:
            model.trigger.reset()
            model.abnormal = False

    def state(self) -> State:
        own: State = {}
        for model in self.all:
            part = self._past(model)
            own |= {f"{model.name}.scorer.{k}": v for k, v in part.items()}
            counts = [model.trigger.active, model.trigger.count, model.abnormal]
            own[f"{model.name}.trigger"] = np.array(counts, dtype=np.int64)
        return own

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        for model in self.all:
            known = state.get(f"{model.name}.trigger")
            if known is None:
                continue
            model.trigger.active, model.trigger.count = bool(known[0]), int(known[1])
            model.abnormal = bool(known[2])
            begin = f"{model.name}.scorer."
            self._kept[model.name] = {k.removeprefix(begin): v for k, v in state.items() if k.startswith(begin)}
        return True

    def _past(self, model: Model) -> State:
        if model.scorer is None:
            return self._kept.get(model.name, {})
        own = model.scorer.state()
        return own | {f"drift.{k}": v for k, v in model.drift.state().items()} if model.drift else own

    def _refresh(self, model: Model) -> None:
        """Another version takes over with the samples that its predecessor has seen."""
        serving = self._provider(model.name)
        if serving is None:
            if model.scorer is not None:
                self._kept[model.name] = self._past(model)
            model.serving, model.scorer, model.problem = None, None, "nothing serves"
            return
        if model.serving is not None and model.serving.key == serving.key:
            model.serving = serving
            return
        past = self._past(model)
        model.serving, model.scorer = serving, None
        try:
            scorer = serving.scorer()
        except EdgeloopError as error:
            model.problem = str(error)
            return
        lacking = [c for c in scorer.channels if c not in self._channels]
        if lacking:
            model.problem = f"it wants channel {', '.join(lacking)}; the monitor has {', '.join(self._channels)}"
        elif abs(scorer.rate / self._rate - 1) > 0.01:
            model.problem = f"it is for {scorer.rate:g} Hz, the stream has {self._rate:g} Hz"
        else:
            model.problem = ""
            model.columns = tuple(self._channels.index(c) for c in scorer.channels)
            if past:
                scorer.restore({k: v for k, v in past.items() if not k.startswith("drift.")})
            model.scorer = scorer
            model.drift = Drift(_statistics(serving.manifest), self._channels)
            model.drift.restore({k.removeprefix("drift."): v for k, v in past.items() if k.startswith("drift.")})


def _statistics(manifest: Manifest) -> dict[str, Statistics]:
    """What training saw, by channel."""
    windows = [p for p in manifest.preprocessing if isinstance(p, Window)]
    return {name: known for w in windows for name, known in zip(w.channels, w.statistics, strict=False)}
