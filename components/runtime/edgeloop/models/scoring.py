"""Models that score time series: rows in, return times out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.errors import ModelRefused, Reason
from edgeloop.models.manifest import Manifest, Window
from edgeloop.models.runners import Runner

Float = NDArray[np.float64]
State = dict[str, NDArray[np.generic]]


class Scorer(Protocol):
    """Scores rows of one stream as they come. `rate` in Hz; `window`: rows that one score is made from."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def channels(self) -> tuple[str, ...]: ...

    @property
    def rate(self) -> float: ...

    @property
    def window(self) -> int: ...

    def update(self, rows: NDArray[np.floating]) -> Float:
        """(n, channels), physical units → (n,) return times (log10 s), each as of its row; 0 before the first window.

        Raises ModelError where the model fails; the rows count as seen.
        """

    def interrupt(self) -> None:
        """The rows that follow do not continue those before."""

    def state(self) -> State: ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool: ...


class WindowScorer:
    """A model whose manifest has a window of samples as its only input and one score as its first output.

    The window moves by the manifest's hop; between two, the last score holds. A window with a value that is not finite
    has none. The calibration turns a score into a return time; without one the score is taken to be a return time.
    Raises ModelRefused where the model is no such model.
    """

    def __init__(self, manifest: Manifest, runner: Runner) -> None:
        found = [p for p in manifest.preprocessing if isinstance(p, Window)]
        if manifest.task != "anomaly" or len(found) != 1 or len(manifest.inputs) != 1:
            why = f"its task is {manifest.task}, its input {', '.join(t.name for t in manifest.inputs)}"
            raise ModelRefused("not a model that scores windows of samples", Reason.HEAD, where=manifest.name, why=why)
        self._spec, self._runner, self._calibration = found[0], runner, manifest.calibration
        self.name, self.version = manifest.name, manifest.version
        self.channels, self.rate, self.window = self._spec.channels, self._spec.rate, self._spec.samples
        self._dtype = np.dtype(manifest.inputs[0].dtype)
        self._batched = len(manifest.inputs[0].shape) == 3
        self._past = np.zeros((self.window, len(self.channels)), dtype=np.float32)
        self._filled, self._due = 0, self.window
        self._last = 0.0

    def update(self, rows: NDArray[np.floating]) -> Float:
        """See Scorer."""
        out = np.empty(len(rows))
        at = 0
        while at < len(rows):
            n = min(self._due, len(rows) - at)
            self._push(rows[at : at + n])
            out[at : at + n] = self._last
            at += n
            self._due -= n
            if not self._due:
                self._due = self._spec.hop
                self._last = self._score()
                out[at - 1] = self._last
        return out

    def interrupt(self) -> None:
        """See Scorer."""
        self._filled, self._due, self._last = 0, self.window, 0.0

    def state(self) -> State:
        numbers = np.array([self._filled, self._due, self._last])
        return {"past": self._past[self.window - self._filled :].copy(), "numbers": numbers}

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """The window's past; also that of another version of the model, as far as it goes."""
        past = state.get("past")
        if past is None or past.ndim != 2 or past.shape[1] != len(self.channels):
            return False
        filled = min(len(past), self.window)
        self._past[self.window - filled :] = past[len(past) - filled :]
        self._filled = filled
        due = max(int(state["numbers"][1]), self.window - filled, 1)
        self._due = min(due, max(self.window, self._spec.hop))
        self._last = float(state["numbers"][2])
        return True

    def _push(self, rows: NDArray[np.floating]) -> None:
        n = min(len(rows), self.window)
        self._past[: self.window - n] = self._past[n:]
        self._past[self.window - n :] = rows[len(rows) - n :]
        self._filled = min(self._filled + n, self.window)

    def _score(self) -> float:
        if not np.isfinite(self._past).all():
            return 0.0
        window: np.ndarray[Any, Any] = self._past
        if self._spec.mean:
            window = window - np.asarray(self._spec.mean)
        if self._spec.scale:
            window = window / np.asarray(self._spec.scale)
        window = window.astype(self._dtype)
        score = float(np.ravel(self._runner.run(window[None] if self._batched else window)[0])[0])
        if not math.isfinite(score):
            return 0.0
        known = self._calibration
        return float(np.interp(score, known.scores, known.return_times)) if known.scores else score
