"""What the demo does to the line while it runs: a kill, a bad and a good model. Nothing is armed but by `--arm`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from edgeloop import __version__, topics
from edgeloop.clock import NS, now
from edgeloop.documents import encode
from edgeloop_tools.demo.models import Candidate, candidates
from edgeloop_tools.demo.plan import GATE, INGEST, MODEL, MODELS, TAUGHT, Plan
from edgeloop_tools.harness.line import Line

SHORTEST_WITH_KILL = 20.0
FIRST_MODEL, KILL = 0.2, 0.5
"""When, as shares of the run."""
SHOWN = 30
"""Pictures that a camera of one's own is taught from."""
PATIENCE = 15 * NS
"""For a refusal, before the good model is sent all the same."""

Act = Iterator[None]
"""Goes on with each look at the line, until it is over."""


class Acts:
    """`step` with each look. seconds: since the installation."""

    def __init__(self, line: Line, plan: Plan, duration: float, seconds: Callable[[], float]) -> None:
        self._line, self._plan, self._duration, self._seconds = line, plan, duration, seconds
        self._acts: list[Act] = [self._teach()] if TAUGHT in plan.models else []
        if plan.simulated and duration >= SHORTEST_WITH_KILL:
            self._acts.append(self._kill())
            if plan.inspected:
                self._acts.append(self._models(*candidates(MODEL, line.root / "models")))

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

    def _teach(self) -> Act:
        """The first pictures of a camera of one's own are good ones: CameraInference learns from them by itself."""
        while not self._line.recording.inspections:
            yield
        command = {"command": "teach", "camera": GATE, "good": SHOWN, "by": "demo"}
        while not self._line.observer.bus.publish(topics.CAMERA_COMMANDS, encode(command)):
            yield
        self._line.recording.say("model", f"the camera's next {SHOWN} pictures are taken for good ones")

    def _deploy(self, words: str, merge: Mapping[str, Mapping[str, object]]) -> None:
        self._line.core.deploy(dict.fromkeys(merge, __version__), merge)
        self._line.recording.say("deploy", words)
