"""Which pictures are worth a label: those that the model is unsure of, in several senses, a share by chance that tells
the true rate of errors, and of what looks alike one."""

from __future__ import annotations

import math
import time
from collections import deque
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from camera_inference.configuration import Examples
from camera_inference.documents import Result
from camera_inference.frame import Frame
from edgeloop.models import optional

HOUR, DAY = 3600.0, 86_400.0
"""s."""
REMEMBERED: Final = 64
"""Kept pictures that a new one is compared with."""
SIDE: Final = 48


def margin(result: Result) -> float:
    """Between the two likeliest labels; of a model with one number, between its verdict and the other."""
    return result.margin if result.margin < 1 else max(0.0, 2 * _own(result) - 1)


def entropy(result: Result) -> float:
    """Of the labels, 1 where all are as likely.

    >>> entropy(Result(camera="g", time=0, decided=0, verdict="pass", confidence=0.5))
    1.0
    """
    if result.entropy > 0:
        return result.entropy
    p = min(1 - 1e-9, max(1e-9, _own(result)))
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) if p > 0.5 else 1.0


def differ(result: Result) -> bool:
    """Whether edge and cloud say different things: the most worth a label."""
    edge, cloud = result.edge, result.cloud
    return edge is not None and cloud is not None and edge.verdict != cloud.verdict


def _own(result: Result) -> float:
    return result.edge.confidence if result.edge is not None else result.confidence


class Worth:
    """One camera's. Not thread-safe."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = Random(seed)
        self._times: dict[bool, deque[float]] = {True: deque(), False: deque()}
        self._sizes: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._prints: deque[NDArray[np.float32]] = deque(maxlen=REMEMBERED)

    def reason(self, wanted: Examples, result: Result) -> str:
        """Why it is to be kept, the first that holds; empty: it is not."""
        if self._random.random() < wanted.share:
            return "random"
        if differ(result):
            return "differ" if self._within(wanted, True) else ""
        strange = wanted.novelty > 0 and result.strange >= wanted.novelty
        found = (
            "below" if _own(result) < wanted.below
            else "margin" if margin(result) < wanted.margin
            else "entropy" if wanted.entropy > 0 and entropy(result) > wanted.entropy
            else "novelty" if strange else ""
        )  # fmt: skip
        return found if found and self._within(wanted, False) else ""

    def new(self, wanted: Examples, frame: Frame) -> bool:
        """Whether nothing that was kept lately looks like it; then it is remembered."""
        if not wanted.alike or frame.image is None:
            return True
        seen = print_of(frame.image)
        if any(float(seen @ known) > wanted.alike for known in self._prints):
            return False
        self._prints.append(seen)
        return True

    def spend(self, wanted: Examples, size: int) -> bool:
        """Whether so many bytes are within the day's; then they count."""
        now = time.monotonic()
        while self._sizes and now - self._sizes[0][0] > DAY:
            self._bytes -= self._sizes.popleft()[1]
        if wanted.bytes and self._bytes + size > int(wanted.bytes):
            return False
        self._sizes.append((now, size))
        self._bytes += size
        return True

    def _within(self, wanted: Examples, differs: bool) -> bool:
        times, now = self._times[differs], time.monotonic()
        while times and now - times[0] > HOUR:
            times.popleft()
        if len(times) >= wanted.most:
            return False
        times.append(now)
        return True


def print_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What two copies of a picture have in common: small, nothing smooth, length 1."""
    cv = optional.load("cv2", "comparing pictures")
    grey = image if image.ndim == 2 else image[:, :, 1]
    small = cv.resize(np.ascontiguousarray(grey), (SIDE, SIDE), interpolation=cv.INTER_AREA).astype(np.float32)
    rough = small - cv.blur(small, (7, 7))
    return np.asarray(rough.ravel() / max(float(np.linalg.norm(rough)), 1e-6), np.float32)
