"""A segment of the ring as a fragment: frames from one key frame on, each with its moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeloop.decode import content
from edgeloop.errors import DecodeError
from edgeloop.ring import Segment
from video_upload.packets.nal import Track
from video_upload.packets.transport import TICKS, NoVideo, after, units

LARGEST: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Frame:
    """time: ns UTC, when it is shown; decode: ns, when it is decoded; data: units with lengths of four bytes."""

    time: int
    decode: int
    key: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Fragment:
    """private: the decoder's configuration; shuffled: whether frames are not shown in the order they are decoded."""

    name: str
    codec: str
    width: int
    height: int
    private: bytes
    frames: list[Frame]
    shuffled: bool

    @property
    def begin(self) -> int:
        return min(frame.time for frame in self.frames)

    @property
    def end(self) -> int:
        return max(frame.time for frame in self.frames)

    @property
    def kind(self) -> tuple[str, int, int, bytes]:
        """What must stay the same within one stream."""
        return self.codec, self.width, self.height, self.private


def content_of(path: Path) -> bytes:
    """Of a segment's file. Raises NoVideo, and FileNotFoundError where it is gone."""
    try:
        return content(path, what="a segment of video", most=LARGEST)
    except DecodeError as error:
        raise NoVideo("a segment of video cannot be read", why=error.why) from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise NoVideo("a segment of video cannot be read", why=error.strerror or str(error)) from None


def made(data: bytes, name: str, segment: Segment) -> Fragment:
    """Of packets as they came. Raises NoVideo."""
    if segment.form != "mpegts":
        raise NoVideo("a segment has no packets", why=segment.form)
    codec, found = units(data)
    track = Track(codec)
    frames = []
    try:
        for unit in found:
            body, key = track.take(unit.data)
            if not body:
                continue
            time, decode = (
                segment.begin + after(stamp, segment.first) * 1_000_000_000 // TICKS for stamp in (unit.pts, unit.dts)
            )
            frames.append(Frame(time, decode, key, body))
        private = track.private
    except (ValueError, IndexError) as error:
        raise NoVideo("a segment of video is damaged", why=str(error)) from None
    if not frames or not frames[0].key:
        raise NoVideo("a segment does not begin with a key frame", why=f"{len(frames)} frames")
    if not private:
        raise NoVideo("a segment has no parameter sets")
    times = [frame.time for frame in frames]
    return Fragment(name, codec, segment.width, segment.height, private, frames, times != sorted(times))
