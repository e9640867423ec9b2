"""One monitor: a stream's samples in, scores and conditions out. Input → detectors → reporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from anomaly_inference import configuration
from anomaly_inference.detectors import MonitorDetectors
from anomaly_inference.operating_state import Lookup
from anomaly_inference.reporter import SETTLED, Reporter, Signal, Tap
from anomaly_inference.results import Result
from anomaly_inference.stream_input import Layout, StreamInput
from edgeloop.alarms import Cause, Kind, Reason
from edgeloop.detect.models import Provider
from edgeloop.detect.protocol import DetectorType, Registry, Words
from edgeloop.detect.registry import DETECTORS
from edgeloop.wire.batch import Batch

SCHEMA = 2
ANEW = "what was learned is of another form: learning again"
FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What comes of a state that another version wrote."""

Arrays = Mapping[str, NDArray[np.generic]]


class Monitor:
    """Scores one stream, with further streams joined as of its times."""

    def __init__(
        self,
        name: str,
        config: configuration.Monitor,
        lookup: Lookup,
        provider: Provider,
        tap: Tap | None = None,
        registry: Registry = DETECTORS,
    ) -> None:
        """Raises EdgeloopError where `detect` names what is not there."""
        self.name, self.config = name, config
        self.types: tuple[DetectorType, ...] = types(config, registry)
        self._registry = registry
        self.input = StreamInput(name, config, lookup)
        self.reporter = Reporter(name, config, tap)
        self._provider = provider
        self._layout: Layout | None = None
        self._detectors: MonitorDetectors | None = None
        self._known: Arrays = {}

    @property
    def streams(self) -> tuple[str, ...]:
        return self.input.streams

    def take(self, batch: Batch, now: int) -> list[Signal]:
        """A batch of one of the monitor's streams. now: ns UTC of its arrival."""
        accepted = self.input.accept(batch, now)
        if accepted is None:
            return []
        detectors = self._current()
        if self.input.broken:
            detectors.interrupt()
        signals: list[Signal] = []
        for segment in self.input.segments(accepted):
            if segment.operating is None:
                self.reporter.pending(accepted, segment)
            elif segment.rows is None:
                detectors.interrupt()
                if segment.operating.state == "idle":
                    detectors.calm()
                self.reporter.passed(detectors, accepted, segment)
            else:
                for at, rows in detectors.pieces(segment.rows):
                    verdict = detectors.update(rows, segment.operating.context)
                    signals += self.reporter.scored(detectors, accepted, segment, at, verdict, now)
                    detectors.ledger.watch(len(rows))
        self.input.diagnostics.set("models", detectors.models.problem)
        self.input.diagnostics.set("drift", detectors.models.drift)
        self.input.diagnostics.set("detectors", detectors.problem)
        return signals

    def tick(self, now: int, newest: int) -> None:
        """Time passes. newest: ns UTC at which any stream last delivered."""
        self.input.tick(now, newest)
        self.reporter.tick(now)

    def assume(self) -> None:
        """Its process alarm is open from before a restart: only recovery clears it."""
        self.reporter.hold = SETTLED

    def levels(self) -> Iterator[tuple[Kind, bool]]:
        """What holds now, of what can be told."""
        layout, detectors, reporter = self.input.layout, self._detectors, self.reporter
        if layout is None or detectors is None:
            return
        yield "event", bool(reporter.until)
        yield "notice", reporter.notice is not None or bool(reporter.held)
        if detectors.models.all:
            yield "drift", bool(detectors.models.drift)
        if reporter.idle:
            yield "process", False
        elif reporter.judged and not reporter.hold:
            yield "process", reporter.abnormal or reporter.insisted
        for kind, condition in layout.sensors.conditions.items():
            if condition.active or layout.sensors.certain(kind):
                yield kind, condition.active

    @property
    def step(self) -> int:
        """The last step of its stream's time stamps, ns."""
        return self.input.layout.sensors.step if self.input.layout is not None else 0

    def signal(self, kind: Kind, active: bool) -> Signal:
        """A level in words, with the newest sample as its cause."""
        epoch, index, time = self.input.newest
        words: Words = ("", ())
        layout, detectors = self.input.layout, self._detectors
        if layout is not None and kind in layout.sensors.conditions:
            words = f"{self.streams[0]} {layout.sensors.conditions[kind].text}", ()
        elif detectors is not None and kind == "drift":
            words = detectors.models.drift, ()
        elif kind == "notice":
            words = self.reporter.notice or self.reporter.held or "answered", self.reporter.words[1]
        elif detectors is not None:
            words = self.reporter.words
        cause = Cause(stream=self.streams[0], epoch=epoch, index=index, attribution=words[1])
        return Signal(kind, active, words[0], cause, time)

    def drain(self) -> Result | None:
        """See Reporter.drain."""
        return self.reporter.drain()

    def answer(self, kind: Kind, reason: Reason) -> None:
        """An operator's word on an alarm of this kind."""
        detectors, reporter = self._detectors, self.reporter
        if detectors is None:
            return
        if kind in ("process", "event") and reason == "true":
            detectors.ledger.refund(point=kind == "event")
            if kind == "process":
                detectors.regimes.refuse()
        if kind == "process" and reason == "process_change":
            self.relearn()
        if kind == "notice" and reporter.notice is not None:
            if reason == "process_change":
                detectors.accept()
            reporter.answered(insist=reason == "true")

    def relearn(self) -> None:
        """Forget what is normal."""
        if self._detectors is not None:
            self._detectors.relearn()
            self.reporter.relearn()

    def skipped(self) -> None:
        """Samples were not read, which is nobody's fault."""
        self.input.skipped()
        if self._detectors is not None:
            self._detectors.interrupt()

    def _current(self) -> MonitorDetectors:
        """The detectors of the input's layout."""
        layout = self.input.layout
        assert layout is not None
        if self._detectors is None or layout is not self._layout:
            if self._layout is not None:
                self._known = {}
            self._detectors = self._make(layout)
        return self._detectors

    def _make(self, layout: Layout) -> MonitorDetectors:
        if self._layout is not None:
            self.reporter.anew()
        self._layout = layout
        detectors = MonitorDetectors(self.name, self.config, layout, self._provider, self._registry)
        known, self._known = self._known, {}
        if not known:
            return detectors
        try:
            own = {k.removeprefix("detector."): v for k, v in known.items() if k.startswith("detector.")}
            if self.input.restore(known) and detectors.restore(own):
                return detectors
        except FORM:
            pass
        self.input.diagnostics.set("learned", ANEW)
        return MonitorDetectors(self.name, self.config, layout, self._provider, self._registry)

    # -- what survives -------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Empty before the first samples."""
        own = self.input.state()
        layout, detectors = self._layout, self._detectors
        if layout is None or detectors is None or layout is not self.input.layout:
            return own | dict(self._known)
        shape = {
            "schema": SCHEMA, "known": layout.known, "step": layout.sample_step.hex(), "newest": self.input.newest,
            "gate": self.input.operating.idle_until, **self.reporter.state(),
        }  # fmt: skip
        own["shape"] = np.frombuffer(msgspec.json.encode(shape), dtype=np.uint8)
        return own | {f"detector.{k}": v for k, v in detectors.state().items()}

    def restore(self, state: Arrays) -> None:
        """Goes on where the state was taken, or learns again where another version took it.

        EdgeloopError where the configuration does not fit its channels.
        """
        try:
            self._resume(older(state))
        except FORM:
            self.input.diagnostics.set("learned", ANEW)
            self._known, self._layout, self._detectors, self.input.layout = {}, None, None, None

    def _resume(self, state: Arrays) -> None:
        self.input.restore_joined(state)
        if "shape" not in state:
            return
        shape = msgspec.json.decode(state["shape"].tobytes())
        self._known = state
        layout = self.input.arrange(list(shape["known"]), float.fromhex(shape["step"]))
        if layout is None:
            return
        self._current()
        epoch, index, time = shape["newest"]
        self.input.newest = int(epoch), int(index), int(time)
        self.input.operating.idle_until = shape["gate"]
        self.reporter.restore(shape)


def types(config: configuration.Monitor, registry: Registry) -> tuple[DetectorType, ...]:
    """What `detect` names. Raises EdgeloopError."""
    return tuple(registry[name] for name in config.detect.split() if name != "conditions")


def older(state: Arrays) -> Arrays:
    """A state of schema 1 (release 0.1.0) in today's form; others as they are."""
    if "scoring.counts" not in state or "shape" not in state:
        return state
    live_rows, seen, _, idle, judged = (int(n) for n in state["scoring.counts"])
    shape = msgspec.json.decode(state["shape"].tobytes())
    shape |= {"schema": SCHEMA, "live_rows": live_rows, "idle": bool(idle), "judged": bool(judged)}
    condition = "levels" if "scoring.judge.detector.settings" in state else "states"
    places = {
        "scoring.judge.": f"detector.{condition}.own.", "scoring.events.": "detector.events.own.",
        "scoring.models.": "detector.models.own.", "scoring.sensors.": "sensors.", "scoring.block": "block",
    }  # fmt: skip
    found: dict[str, NDArray[np.generic]] = {k: v for k, v in state.items() if k.startswith("joined.")}
    found["shape"] = np.frombuffer(msgspec.json.encode(shape), dtype=np.uint8)
    for key, value in state.items():
        for old, new in places.items():
            if key.startswith(old):
                found[new + key.removeprefix(old)] = value
    found |= {f"detector.{name}.schema": np.array([1]) for name in (condition, "models")}
    found |= {"detector.events.schema": np.array([2]), "detector.events.own.seen": np.array([seen])}
    found["detector.seen"] = np.array([seen])
    return found
