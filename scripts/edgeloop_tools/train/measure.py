"""How good a model is on what it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms.labels import Label
from edgeloop.detect.trigger import Trigger
from edgeloop.models.calibration import return_times
from edgeloop.models.graph import area
from edgeloop.models.manifest import Calibration
from edgeloop_tools.train.windows import Windows

WEEK = 604_800.0
EXPECTED = 10.0
"""Windows of the measured part that should reach the level by which the calibration is judged."""
RULE_OF_THREE = 3.0
"""Alarms that no alarm does not exclude, at 95 %."""


def measure(
    healthy: tuple[Windows, NDArray[np.floating]],
    faulty: tuple[Windows, NDArray[np.floating]],
    calibration: Calibration,
    labels: Sequence[Label],
    budget: float,
) -> dict[str, float]:
    """Windows and their scores (n,), by time. budget: log10 s."""
    good, scores = healthy
    times = return_times(scores, calibration)
    alarms = _alarms(good, times, budget)
    weeks = good.seconds / WEEK
    judged = np.log10(good.seconds / EXPECTED)
    metrics = {
        "healthy_windows": float(len(good)),
        "healthy_hours": good.seconds / 3600,
        "false_alarms": float(alarms),
        "false_alarms_per_week": alarms / weeks,
        "exceedances_to_expected": float((times >= judged).sum()) / EXPECTED,
    }
    if not alarms:
        metrics["false_alarms_per_week_at_most"] = RULE_OF_THREE / weeks
    bad, scored = faulty
    if len(bad):
        both = np.concatenate([scores, scored]).astype(np.float64)
        metrics["auroc"] = area(both, np.repeat([False, True], [len(scores), len(scored)]))
        found = return_times(scored, calibration) >= budget
        metrics["faulty_windows"] = float(len(bad))
        metrics["found_windows"] = float(found.mean())
        faults = [x for x in labels if x.reason == "true"]
        inside = [(bad.last >= x.start) & (bad.last <= x.end) for x in faults]
        seen = [bool(found[i].any()) for i in inside if i.any()]
        metrics["faults"] = float(len(seen))
        metrics["found"] = float(np.mean(seen)) if seen else 0.0
    return {name: float(f"{value:.4g}") for name, value in metrics.items()}


def _alarms(windows: Windows, times: NDArray[np.float64], budget: float) -> int:
    """As a monitor raises them: each recording by itself."""
    count = 0
    for number in np.unique(windows.recording):
        trigger = Trigger(budget, confirm=1, recover=2)
        before = False
        for time in times[windows.recording == number]:
            now = trigger.update(float(time))
            count += now and not before
            before = now
    return count
