"""A recording through the engine, and what it said of each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from anomaly_inference.configuration import Configuration, Monitor
from anomaly_inference.engine import Engine
from anomaly_inference.reporter import RowScores
from edgeloop.alarms import Alarm
from edgeloop.clock import NS, rfc3339
from edgeloop.config.quantities import Budget, Duration
from edgeloop.detect.models import Serving
from edgeloop.detect.protocol import Registry
from edgeloop.detect.registry import DETECTORS
from edgeloop.wire.batch import Batch
from edgeloop_tools.backtest.recording import STREAM, Recording

NAME, MODEL = "backtest", "given"
HEADER = "time,event_score,event_alert,condition_score,condition_alert,changepoint,notice"


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """By row, all (n,): return times (log10 s), and what the engine decided. alarms: as they were raised. learning:
    rows that were learned from before anything was judged."""

    event_score: NDArray[np.float64]
    event_alert: NDArray[np.bool_]
    condition_score: NDArray[np.float64]
    condition_alert: NDArray[np.bool_]
    changepoint: NDArray[np.bool_]
    notice: NDArray[np.bool_]
    times: NDArray[np.int64]
    alarms: list[Alarm] = field(default_factory=list)
    problem: str = ""
    learning: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def text(self) -> str:
        """CSV with a header."""
        rows = zip(
            self.times.tolist(), self.event_score.tolist(), self.event_alert.tolist(), self.condition_score.tolist(),
            self.condition_alert.tolist(), self.changepoint.tolist(), self.notice.tolist(), strict=True,
        )  # fmt: skip
        lines = [f"{rfc3339(t)},{e:.4f},{a:d},{c:.4f},{b:d},{p:d},{o:d}" for t, e, a, c, b, p, o in rows]
        return "\n".join([HEADER, *lines, ""])


def configuration(
    step: float, *, learn: int | None, budget: Budget | None, models: str = "", detect: str = ""
) -> Configuration:
    """One monitor as a person would first write it. step: s between rows. learn: rows."""
    options: dict[str, object] = {"detect": detect} if detect else {}
    if learn is not None:
        options["learn"] = Duration.of(round(learn * step * NS))
    if budget is not None:
        options["budget"] = budget
    return Configuration(monitors={NAME: Monitor(asset="recording", input=STREAM, models=models, **options)})  # type: ignore[arg-type]


def replay(
    recording: Recording,
    *,
    learn: int | None = None,
    budget: Budget | None = None,
    fine: int | None = None,
    serving: Serving | None = None,
    detect: str = "",
    detectors: Registry = DETECTORS,
    advanced: Callable[[int], None] = lambda rows: None,
) -> Columns:
    """What the engine says, as it goes. fine: row from which batches are small. serving: a model beside the engine.
    detect: as of a monitor, among `detectors`.

    advanced: told of rows done.
    """
    n = len(recording)
    flag = np.zeros(n, dtype=bool)
    found = Columns(np.zeros(n), flag, np.zeros(n), flag.copy(), flag.copy(), flag.copy(), recording.times)
    problems: dict[str, str] = {}
    learning = np.ones(n, dtype=bool)

    def tap(monitor: str, batch: Batch, scores: RowScores) -> None:
        rows = slice(batch.index + scores.first, batch.index + scores.first + len(scores.event))
        found.event_score[rows], found.event_alert[rows] = scores.event, scores.alert
        found.condition_score[rows], found.condition_alert[rows] = scores.condition, scores.abnormal | scores.notice
        learning[rows] = scores.state == "learning"
        found.changepoint[rows], found.notice[rows] = scores.changepoint, scores.notice & ~scores.abnormal

    models = "" if serving is None else MODEL
    wanted = configuration(recording.step, learn=learn, budget=budget, models=models, detect=detect)
    engine = Engine(wanted, problem=problems.__setitem__, models=lambda name: serving, tap=tap, detectors=detectors)
    for batch in recording.batches(fine):
        outcome = engine.process(batch, now=int(batch.times[-1]) if batch.times is not None else 0)
        found.alarms.extend(a for a in outcome.alarms if a.state == "raised")
        advanced(len(batch))
    line = problems.get(NAME, "")
    return Columns(
        found.event_score, found.event_alert, found.condition_score, found.condition_alert, found.changepoint,
        found.notice, found.times, found.alarms, line, learning,
    )  # fmt: skip
