"""Whether a new model stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from edgeloop import clock
from edgeloop.models.active import TELLING
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
        if changed := _changed(report, rules):
            return "back", f"{who}: {changed[0]}", changed[1]
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


def _changed(report: Report, rules: Probation) -> tuple[str, Reason] | None:
    """How it differs from the model before, on this device's own input, by more than it may."""
    before = report.before
    if before is None:
        return None
    slow = before.ms and report.ms > max(rules.slower * before.ms, before.ms + _SOME_MS)
    if rules.slower and slow and report.inferences >= TELLING:
        return f"a run takes {report.ms:.1f} ms, {before.ms:.1f} ms before (probation.slower)", Reason.LATENCY
    now, then = sum(report.said.values()), sum(before.said.values())
    if rules.shift < 1 and then >= TELLING and now >= max(TELLING, rules.inferences):
        words = sorted({*report.said, *before.said})
        shares = {word: (before.said.get(word, 0) / then, report.said.get(word, 0) / now) for word in words}
        good, still = shares.get(PASS, (0.0, 0.0))
        if good - still > rules.shift:
            told = ", ".join(f"{word} {a:.0%} → {b:.0%}" for word, (a, b) in shares.items())
            return f"it passes less than the model before: {told} (probation.shift)", Reason.SHIFT
    return None


PASS: Final = "pass"
"""What a model is held against: one that mends another, which rejected too much, is no worse for it."""
_SOME_MS: Final = 2.0
_FEW: Final = 3
"""Failures that are not yet a share."""
