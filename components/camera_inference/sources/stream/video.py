"""Compressed video of the network, packet by packet: what its decoder knows to be damaged is no picture."""

from __future__ import annotations

import functools
import logging
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from camera_inference.frame import Pixels
from edgeloop import clock
from edgeloop.errors import EdgeloopError
from edgeloop.models import optional

HEALED: Final = 10 * clock.NS
"""ns without a fault after which a stream that has no key frames is taken for whole again."""
FAR: Final = 5 * clock.NS
"""ns between a camera's clock and this device's beyond which the camera's is not believed."""
DRIFT: Final = 200_000
"""ns a second that two clocks may part."""
DAMAGED: Final = "the picture is damaged: its packets were lost or changed on the way"
AWAITED: Final = "the stream began in the middle: its first whole picture is awaited"
SAYS: Final = {
    "HTTPUnauthorizedError": "does it take the credentials?", "HTTPForbiddenError": "does it take the credentials?",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """image: (height, width, 3) BGR, or None with the reason. time: ns UTC of its capture."""

    image: Pixels | None
    time: int
    reason: str = ""


class Stamps:
    """Capture times from the stream's own stamps: what the network delays is left out.

    >>> stamps = Stamps()
    >>> of = lambda n, late: stamps.of(n * 40_000_000, n * 40_000_000, 10**18 + n * 40_000_000 + late) - 10**18
    >>> of(0, 5), of(1, 30_000_000)
    (5, 40008005)
    """

    def __init__(self) -> None:
        self._offset: int | None = None
        self._dts = 0

    def of(self, pts: int, dts: int, arrived: int) -> int:
        """ns UTC. pts, dts: ns of the stream, of showing and of decoding."""
        offset = arrived - pts
        known = self._offset
        if known is None or not 0 <= dts - self._dts < 10 * clock.NS or abs(offset - known) > FAR:
            self._offset = offset
        else:
            self._offset = min(offset, known + (dts - self._dts) * DRIFT // clock.NS)
        self._dts = dts
        return self._offset + pts


class Video:
    """One connection. Raises EdgeloopError where none can be made; user and password are in no line of it."""

    def __init__(self, uri: str, where: str, options: dict[str, str], patience: float) -> None:
        self._av = _library()
        self._where = where
        try:
            self._container = self._av.open(uri, options=options, timeout=(patience, patience))
        except (self._av.FFmpegError, OSError, ValueError) as error:
            raise EdgeloopError("the camera does not answer", where=where, why=_why(error),
                                mend=SAYS.get(type(error).__name__, "")) from None  # fmt: skip
        if not self._container.streams.video:
            self._container.close()
            raise EdgeloopError("the camera sends no video", where=where)
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        context.thread_count, context.copy_opaque = 1, True
        self._stamps, self._times = Stamps(), deque[tuple[int, int]](maxlen=256)
        self._number = self._fault = 0
        self._whole, self._clean_since = False, clock.elapsed()
        self.damaged = self.decoded = 0

    def pictures(self, keep: Any = None) -> Iterator[Picture]:
        """Each picture in turn. keep: called with each packet and its time, when it has been decoded.

        Raises EdgeloopError when nothing comes any more."""
        logs: list[Any]
        with self._av.logging.Capture(True) as logs:
            packets = self._container.demux(self._stream)
            while True:
                logs.clear()
                try:
                    packet = next(packets)
                except StopIteration:
                    return
                except (self._av.FFmpegError, OSError) as error:
                    raise EdgeloopError("the camera delivers nothing any more", where=self._where,
                                        why=_why(error)) from None  # fmt: skip
                if packet.dts is None and packet.pts is None and not packet.size:
                    yield from self._decoded(packet, logs)
                    continue
                self._number += 1
                at = self._time(packet)
                self._times.append((self._number, at))
                if packet.is_corrupt or logs:
                    self._faulty(self._number)
                shown = list(self._decoded(packet, logs))
                if keep is not None:
                    keep(packet, at)
                yield from shown

    def close(self) -> None:
        self._container.close()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _decoded(self, packet: Any, logs: list[Any]) -> Iterator[Picture]:
        packet.opaque = self._number
        logs.clear()
        try:
            frames = packet.decode()
        except (self._av.FFmpegError, OSError, ValueError):
            frames = []
            self._faulty(self._number)
        if logs:
            self._faulty(self._number)
        for frame in frames:
            number = frame.opaque or self._number
            if frame.is_corrupt:
                self._faulty(number)
            elif frame.key_frame and number > self._fault:
                self._whole = True
            at = next((time for n, time in self._times if n == number), clock.now())
            if not self._whole and clock.elapsed() - self._clean_since > HEALED:
                self._whole = True
            self.decoded += 1
            if self._whole:
                yield Picture(frame.to_ndarray(format="bgr24"), at)
            else:
                self.damaged += 1
                yield Picture(None, at, DAMAGED if self._fault else AWAITED)

    def _faulty(self, number: int) -> None:
        """From here to the next key frame that is whole, what is shown rests on what is not."""
        self._whole, self._fault, self._clean_since = False, max(self._fault, number), clock.elapsed()

    def _time(self, packet: Any) -> int:
        """ns UTC: of the camera's clock where it tells that and is right, else by the stream's stamps."""
        arrived = clock.now()
        told = packet.get_sidedata("prft") if packet.has_sidedata("prft") else None
        if told is not None:
            data = bytes(told)
            if len(data) >= 8:
                at = int(struct.unpack_from("<q", data)[0]) * 1000
                if 0 <= arrived - at < FAR:
                    return at
        pts = packet.pts if packet.pts is not None else packet.dts
        if pts is None or packet.time_base is None:
            return arrived
        dts = packet.dts if packet.dts is not None else pts
        shown, decoded = (int(stamp * packet.time_base * clock.NS) for stamp in (pts, dts))
        return self._stamps.of(shown, decoded, arrived)


@functools.cache
def _library() -> Any:
    """PyAV; what FFmpeg says is heard by the one who decodes, and by nobody else: it may name a password."""
    av = optional.load("av", "reading video of the network")
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    log = logging.getLogger("libav")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    return av


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or type(error).__name__)
