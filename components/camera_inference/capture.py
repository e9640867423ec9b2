"""A camera's thread and its outlet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from camera_inference import pictures
from camera_inference.configuration import Policy
from camera_inference.frame import Colour, Frame, Pixels
from camera_inference.ring import Ring
from camera_inference.sources import Place
from camera_inference.sources.base import Source
from edgeloop import clock
from edgeloop.supervise import Supervisor, Surroundings

STALE: Final = 5 * clock.NS
"""ns: a frame's time stamp further away from now is not believed for its age."""
QUALITY: Final = 90
"""Of the JPEGs of the ring, where a source gives none."""


@dataclass(frozen=True, slots=True)
class Sink:
    """Where frames go. Neither waits but `room`."""

    put: Callable[[Frame], None]
    room: Callable[[], bool]
    last_part: Callable[[], str]
    enough: Callable[[int, int], bool] = lambda width, height: False


class Capture(Supervisor[Source[Any], Surroundings]):
    """The outlet of one source, and its thread."""

    def __init__(
        self, id: str, place: Place, policy: Policy, state: Path, sink: Sink, around: Surroundings,
        ring: Ring | None = None,
    ) -> None:  # fmt: skip
        super().__init__("camera", id, around)
        self._ring, self._packets = ring, False
        self.keep: Callable[[Any, int], None] | None = self._keep if ring is not None else None
        self.policy, self.state, self.credentials_file = policy, state, place.credentials
        self.patience, self.transport, self.rate = place.patience, place.transport, place.rate
        self._place, self._sink = place, sink
        self._run_id, self._frames = f"{clock.now() // 1_000_000:x}", 0

    def make(self) -> Source[Any]:
        return self._place.kind(self._place.place, self._place.options, self)

    # what a source calls

    @property
    def last_part(self) -> str:
        return self._sink.last_part()

    def failed(self) -> None:
        if self._ring is not None:
            self._ring.gap()

    def enough(self, width: int, height: int) -> bool:
        return self._sink.enough(width, height)

    def put(
        self, image: Pixels, colour: Colour, *, time: int = 0, part: str = "", jpeg: bytes = b"", scale: int = 1
    ) -> bool:
        self.delivered()
        at = time or clock.now()
        self._hand_over(image, colour, at, part, "", jpeg if scale > 1 else b"", scale)
        if self._ring is not None and not self._packets:
            self._remember(lambda ring: ring.picture(jpeg or pictures.jpeg(image, colour, QUALITY), at,
                                                     scale * image.shape[1], scale * image.shape[0]))  # fmt: skip
        return not self.stop.is_set()

    def missed(self, part: str, time: int, reason: str, *, blind: bool = True) -> None:
        self._hand_over(None, "rgb", time, part, reason, blind=blind)

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(seconds)

    def room(self) -> bool:
        return self._sink.room() and not self.stop.is_set()

    def close(self) -> None:
        """Once its thread has ended."""
        if self._ring is not None:
            self._ring.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _keep(self, packet: Any, at: int) -> None:
        self._packets = True
        self._remember(lambda ring: ring.packet(packet, at))

    def _remember(self, write: Callable[[Ring], None]) -> None:
        """The ring is for later: what it cannot take costs no picture its verdict."""
        assert self._ring is not None
        try:
            write(self._ring)
            self.clear("ring")
        except Exception as error:
            self.count("not_kept")
            self.problem(f"{self.id}: its last pictures cannot be kept: {error}", "ring")
            self._ring.gap()

    def _hand_over(
        self, image: Pixels | None, colour: Colour, at: int, part: str, reason: str, jpeg: bytes = b"", scale: int = 1,
        blind: bool = True,
    ) -> None:  # fmt: skip
        now = clock.now()
        self._frames += 1
        if self.policy == "every" and not part:
            part = f"{self._run_id}-{self._frames}"
        age = now - at if at and 0 <= now - at < STALE else 0
        if image is not None:
            self.count("frames")
        seen, live = time.monotonic_ns() - age, self._place.kind.live
        self._sink.put(Frame(self.id, at or now, seen, image, colour, part, reason, live, jpeg, scale, blind))
