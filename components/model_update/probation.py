"""Whether a new model stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from edgeloop import clock
from edgeloop.models.errors import Reason
from edgeloop.models.report import Report
from edgeloop.models.store import Pointer
from model_update.configuration import Probation

ALIVE: Final = 100 * clock.NS
"""A component whose report is older than this (ns) is not there, or hangs, whatever its model does."""

Verdict = Literal["wait", "stay", "back"]


def judge(
    pointer: Pointer, reports: Iterable[Report], now: int, rules: Probation
) -> tuple[Verdict, str, Reason | None]:
    """A verdict, why, and the reason where it is taken back. `now` in ns UTC. Without a component that uses the model
    it waits, for ever."""
    assert pointer.active is not None
    age = max(0, now - pointer.since)
    runs = failures = users = 0
    for report in reports:
        who = report.component.rpartition(".")[2]
        if report.generation != pointer.generation or report.digest != pointer.active.digest:
            if abs(now - report.time) < ALIVE and not report.clean and age > rules.load:
                return "back", f"{who} has not loaded it within {rules.load}", Reason.UNUSED
            continue
        if report.fate in ("crashed", "rejected"):
            return "back", f"{who}: {report.reason}", Reason.CRASHES if report.fate == "crashed" else Reason.LOAD
        if report.fate in ("waiting", "trying") and age > rules.load and abs(now - report.time) < ALIVE:
            why = f"{who} could not load it within {rules.load}: {report.reason or 'it hangs'}"
            return "back", why, Reason.UNUSED if report.reason else Reason.HANGS
        runs += report.inferences
        failures += report.failures
        users += report.fate == "loaded"
    if failures > rules.failures * (runs + failures) and failures >= _FEW:
        return "back", f"{failures} of {runs + failures} runs failed", Reason.FAILURES
    if not users:
        return "wait", "no component uses it yet", None
    if runs < rules.inferences or age < rules.time:
        return "wait", f"{runs} of {rules.inferences} runs", None
    return "stay", f"{runs} runs, {failures} failed", None


_FEW: Final = 3
"""Failures that are not yet a share."""
