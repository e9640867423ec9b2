"""What the demo does to the line while it runs: a kill, a bad and a good model, and the rule that is armed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgeloop import __version__
from edgeloop.clock import NS, now
from edgeloop_tools.demo.models import Candidate, candidates
from edgeloop_tools.demo.plan import ANOMALY, INGEST, MODEL, MODELS, Plan
from edgeloop_tools.harness.line import Line
from edgeloop_tools.harness.recording import Intervention

SHORTEST_WITH_KILL = 20.0
SHORTEST_WITH_ARMING = 45.0
FIRST_MODEL, KILL, ARM = 0.2, 0.5, 0.6
"""When, as shares of the run."""
PATIENCE = 15 * NS
"""For a refusal, before the good model is sent all the same."""

Act = Iterator[None]
"""Goes on with each look at the line, until it is over."""


class Acts:
    """`step` with each look. seconds: since the installation."""

    def __init__(self, line: Line, plan: Plan, duration: float, seconds: Callable[[], float], *, armed: bool) -> None:
        self._line, self._plan, self._duration, self._seconds = line, plan, duration, seconds
        self._acts: list[Act] = []
        if plan.simulated and duration >= SHORTEST_WITH_KILL:
            self._acts.append(self._kill())
            if plan.inspected:
                self._acts.append(self._models(*candidates(MODEL, line.root / "models")))
            if duration >= SHORTEST_WITH_ARMING and not armed:
                self._acts.append(self._arm())

    def step(self) -> None:
        for act in list(self._acts):
            try:
                next(act)
            except StopIteration:
                self._acts.remove(act)

    def _until(self, share: float) -> Act:
        while self._seconds() < share * self._duration:
            yield

    def _kill(self) -> Act:
        yield from self._until(KILL)
        before = set(self._line.recording.announced_bytes)
        while (kill := self._line.kill(INGEST)) is None:
            yield
        while not set(self._line.recording.announced_bytes) - before:
            yield
        self._line.recovered(kill, now())

    def _models(self, bad: Candidate, good: Candidate) -> Act:
        recording = self._line.recording
        yield from self._until(FIRST_MODEL)
        while not recording.inspections:
            yield
        self._deploy("a model that does not keep its golden set", {MODELS: {"models": {bad.name: bad.desired()}}})
        since = now()
        while not recording.refusals and now() - since < PATIENCE:
            yield
        self._deploy("a good model", {MODELS: {"models": {good.name: good.desired()}}})

    def _arm(self) -> Act:
        recording = self._line.recording
        yield from self._until(ARM)
        machine = self._plan.machines[0]
        while not any(a.outcome == "dry_run" and a.target == "stop" for a in recording.actions):
            yield
        while any(i.recovered is None for i in recording.interventions):
            yield
        before = set(recording.announced_bytes)
        restarts = self._line.nucleus == "lite"
        sources = {machine: {"actions": {"stop": {"armed": True}}}}
        change: dict[str, dict[str, object]] = {
            INGEST: {"sources": sources},
            ANOMALY: {"rules": {f"stop_{machine}": {"armed": True}}},
        }
        if restarts:
            recording.interventions.append(Intervention("deployment", INGEST, now()))
            place = len(recording.interventions) - 1
        self._deploy(f"the stop of {machine} is armed", change)
        while restarts and not set(recording.announced_bytes) - before:
            yield
        if restarts:
            self._line.recovered(recording.interventions[place], now())

    def _deploy(self, words: str, merge: Mapping[str, Mapping[str, object]]) -> None:
        self._line.core.deploy(dict.fromkeys(merge, __version__), merge)
        self._line.recording.say("deploy", words)
