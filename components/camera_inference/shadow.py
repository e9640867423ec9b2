"""A candidate model on a share of the pictures, when their verdicts are out: it costs none of them anything."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import Final

from camera_inference.documents import Result
from camera_inference.frame import Frame
from camera_inference.prepare import Area, Preparation
from camera_inference.verdict import Criteria, interpret
from edgeloop.errors import EdgeloopError
from edgeloop.models.shadow import Candidate, Comparison, Said

WAITING: Final = 2
"""Pictures that wait for the candidate; more are left out."""
LOOK: Final = 5.0
"""s between two looks at the store."""


class Shadowing:
    """Of one model, for all cameras that use it. `offer` never waits."""

    def __init__(self, name: str, candidate: Candidate, unexpected: Callable[[Exception], None]) -> None:
        self._candidate, self._unexpected = candidate, unexpected
        self._waiting: Queue[tuple[Frame, Result, Criteria, Area]] = Queue(WAITING)
        self._chance = random.Random()
        self._share = 0.0
        self._preparations: dict[tuple[str, Area], Preparation] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"shadow-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2.0)
        if not self._thread.is_alive():
            self._candidate.close()

    def offer(self, frame: Frame, result: Result, criteria: Criteria, area: Area) -> None:
        if self._share and self._chance.random() < self._share:
            try:
                self._waiting.put_nowait((frame, result, criteria, area))
            except Full:
                return

    # -- inside --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + LOOK
                self._look()
            try:
                frame, result, criteria, area = self._waiting.get(timeout=min(0.5, LOOK))
            except Empty:
                continue
            try:
                self._compare(frame, result, criteria, area)
            except Exception as error:
                self._unexpected(error)

    def _look(self) -> None:
        before = self._candidate.shadow
        self._candidate.look()
        if self._candidate.shadow != before:
            self._preparations.clear()
        running = self._candidate.runner is not None and self._candidate.shadow is not None
        self._share = self._candidate.shadow.share if running and self._candidate.shadow is not None else 0.0

    def _compare(self, frame: Frame, result: Result, criteria: Criteria, area: Area) -> None:
        candidate, shadow = self._candidate, self._candidate.shadow
        if shadow is None or candidate.runner is None or candidate.manifest is None:
            return
        began = time.perf_counter()
        try:
            preparation = self._preparations.get((frame.camera, area))
            if preparation is None:
                preparation = self._preparations[frame.camera, area] = Preparation(candidate.manifest, area)
            tensor, placement = preparation.fill(frame, preparation.buffer())
            outputs = candidate.runner.run(tensor)
            found = interpret(candidate.manifest, outputs, placement, criteria, candidate.decoder)
            verdict = criteria.judge(found, candidate.manifest)
            other = Said(verdict, found.label, found.score, _ms(began))
        except EdgeloopError as error:
            other = Said("unknown", str(error)[:200], 0.0, _ms(began))
        candidate.note(
            Comparison(
                time=result.time, source=result.camera, subject=result.part, active=result.model.version,
                candidate=shadow.version, digest=shadow.digest,
                one=Said(result.verdict, result.label, result.score, result.latency_ms), other=other,
            )
        )  # fmt: skip


def _ms(began: float) -> float:
    return round(1e3 * (time.perf_counter() - began), 2)
