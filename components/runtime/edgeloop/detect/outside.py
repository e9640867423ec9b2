"""A detector of the line's owner among ours: what is wrong with it is a line, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.protocol import Context, Detector, DetectorType, Rows, Scores, Setup, State, Words

T = TypeVar("T")
_KINDS = {"return_time": "f", "channel": "i"}


def outside(name: str, kind: DetectorType) -> DetectorType:
    """The type under its folder's name. Raises ValueError where it tells what only ours do."""
    if kind.tells not in ("event", "condition"):
        raise ValueError(f"a detector tells events or conditions, not {kind.tells!r}")
    return replace(kind, name=name, make=lambda setup: OutsideDetector(name, kind, setup))


class OutsideDetector:
    """What it raises, and scores of another form than `Scores` says, put it out until the next start: `problem` says
    so, and its rows are as if it had nothing to say. A state that it does not take is learned anew by it alone.
    """

    def __init__(self, name: str, kind: DetectorType, setup: Setup) -> None:
        self._name, self._kind, self._setup = name, kind, setup
        self.problem = ""
        self._own: Detector | None = None
        self._make()

    def _make(self) -> None:
        self._own = None
        try:
            self._own = self._kind.make(self._setup)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.problem = f"the detector {self._name} failed and is not asked any more: {type(error).__name__}: {error}"

    def _ask(self, what: Callable[[Detector], T], otherwise: T) -> T:
        if self._own is None or self.problem:
            return otherwise
        try:
            return what(self._own)
        except Exception as error:
            self._fail(error)
            return otherwise

    @property
    def learned(self) -> float:
        return min(1.0, max(0.0, self._ask(lambda own: float(own.learned), 1.0)))

    def update(self, rows: Rows, context: Context) -> Scores:
        return self._ask(lambda own: checked(own.update(rows, context), len(rows)), Scores.none(len(rows)))

    def words(self, at: int) -> Words:
        nothing: Words = ("unusual", ())
        return self._ask(lambda own: _said(own.words(at)), nothing)

    def interrupt(self) -> None:
        self._ask(lambda own: own.interrupt(), None)

    def calm(self) -> None:
        self._ask(lambda own: own.calm(), None)

    def relearn(self) -> None:
        self._ask(lambda own: own.relearn(), None)

    def accept(self) -> None:
        self._ask(lambda own: own.accept(), None)

    def state(self) -> State:
        return self._ask(lambda own: {k: np.asarray(v) for k, v in own.state().items()}, {})

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """True: the others have nothing to do with what it does not take."""
        if not state or self._own is None:
            return True
        try:
            taken = self._own.restore(state)
        except Exception:
            taken = False
        if not taken:
            self._make()
        return True


def checked(scores: Scores, n: int) -> Scores:
    """Of n rows, as `Scores` says. Raises TypeError or ValueError."""
    if not isinstance(scores, Scores):
        raise TypeError(f"update returned {type(scores).__name__}, not Scores")
    for each in fields(Scores):
        found = np.asarray(getattr(scores, each.name))
        if found.shape != (n,) or found.dtype.kind != _KINDS.get(each.name, "b"):
            raise ValueError(f"{each.name} of {n} rows has the shape {found.shape} and the type {found.dtype}")
    if not np.isfinite(scores.return_time).all():
        raise ValueError("return_time is not finite")
    return scores


def _said(words: Words) -> Words:
    text, about = words
    if not isinstance(text, str) or not all(isinstance(part, Contribution) for part in about):
        raise TypeError("words are a text and a tuple of Contribution")
    return text, tuple(about)
