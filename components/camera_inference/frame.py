"""One image of one camera, and the queues between its threads."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Colour = Literal["rgb", "bgr", "grey"]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """image: (height, width, 3), or (height, width) where grey; None where there is none, `reason` saying why.

    time: ns UTC of trigger or capture. seen: the same as ns of the monotonic clock. part: empty where the source knows
    none. jpeg: what the camera sent, where `image` is reduced to one in `scale` rows and columns. live: from a camera,
    whose noise makes no two pictures the same. blind: whether the camera's sight is to blame where there is a reason.
    """

    camera: str
    time: int
    seen: int
    image: Pixels | None
    colour: Colour = "rgb"
    part: str = ""
    reason: str = ""
    live: bool = False
    jpeg: bytes = b""
    scale: int = 1
    blind: bool = True


class Inbox(Protocol):
    """Between capture and preparation."""

    closed: bool

    def put(self, frame: Frame) -> Frame | None:
        """Never waits. Returns a frame that found no place."""
        ...

    def take(self) -> Frame | None:
        """The next frame; waits for one. None once closed."""
        ...

    def room(self) -> bool:
        """Waits until a frame would find a place; False once closed."""
        ...

    def close(self) -> None: ...


class Latest:
    """Holds the newest frame only; `put` returns the one that nobody took."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self.closed = False
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> Frame | None:
        with self._changed:
            skipped, self._frame = self._frame, frame
            self._changed.notify_all()
        return skipped

    def take(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._frame is not None)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
        return None if self.closed else frame

    def room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._frame is None)
            return not self.closed

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


class Every:
    """At most `depth` frames in order; `put` returns the new one where there is no room."""

    def __init__(self, depth: int) -> None:
        self._frames: deque[Frame] = deque()
        self._depth = depth
        self.closed = False
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> Frame | None:
        with self._changed:
            if self.closed or len(self._frames) >= self._depth:
                return frame
            self._frames.append(frame)
            self._changed.notify_all()
        return None

    def take(self) -> Frame | None:
        with self._changed:
            self._changed.wait_for(lambda: self.closed or bool(self._frames))
            if self.closed:
                return None
            self._changed.notify_all()
            return self._frames.popleft()

    def room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self.closed or len(self._frames) < self._depth)
            return not self.closed

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()
