"""The last pictures of a camera in files, for whoever wants to see what was before: see `edgeloop.ring`."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from edgeloop import clock, durable
from edgeloop.decode import OWN, file
from edgeloop.errors import DecodeError
from edgeloop.models import optional
from edgeloop.ring import Picture, Segment

TICKS: Final = 90_000
"""A second of MPEG-TS."""
SPAN: Final = TICKS
"""Of a segment: it ends at the first key frame behind that."""
LONGEST: Final = 10 * TICKS
"""After which a segment ends without a key frame, too."""
LARGEST: Final = 16 << 20
"""Bytes after which it ends, too."""
SHARED: Final = Path("/dev/shm")
CARRIED: Final = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "av1"}
"""Codecs whose packets go into MPEG-TS as they came."""


@dataclass(slots=True)
class _Open:
    """A segment that is being filled."""

    form: str
    codec: str
    width: int
    height: int
    begin: int
    first: int
    key: bool
    data: io.BytesIO = field(default_factory=io.BytesIO)
    end: int = 0
    pictures: list[Picture] = field(default_factory=list)
    container: Any = None
    stream: Any = None


class Ring:
    """`packet` or `picture` from the camera's thread; nobody who reads is ever waited for. Raises OSError.

    Args:
        folder: where readers look; a link into memory where there is room for that.
        budget: bytes of all segments.
    """

    def __init__(self, folder: Path, budget: int, shared: Path = SHARED) -> None:
        self._folder, self._budget = folder, budget
        self._place = _place(folder, budget, shared)
        self._sizes: dict[int, int] = {}
        self._last = 0
        self._open: _Open | None = None
        self._follows = False
        self.written = 0
        """Segments so far."""
        self._recall()

    def packet(self, packet: Any, at: int) -> None:
        """A packet of PyAV, as it came; it is used up. at: ns UTC of its picture."""
        stream = packet.stream
        codec = stream.codec_context
        if codec.name == "mjpeg":
            self.picture(bytes(packet), at, codec.width, codec.height)
            return
        if codec.name not in CARRIED or packet.dts is None:
            return
        key = bool(packet.is_keyframe)
        now = self._open
        stamp = round((packet.pts if packet.pts is not None else packet.dts) * packet.time_base * TICKS)
        if now is not None and now.form == "mpegts" and not -SPAN < stamp - now.first < 2 * LONGEST:
            self.gap()
        elif now is not None and (
            now.form != "mpegts" or (key and stamp - now.first >= SPAN) or stamp - now.first >= LONGEST
            or now.data.tell() >= LARGEST
        ):  # fmt: skip
            self._finish()
        now = self._open
        if now is None:
            if not key and not self._follows:
                return
            now = self._open = _Open("mpegts", codec.name, codec.width, codec.height, at, stamp, key)
            av = optional.load("av", "keeping video")
            now.container = av.open(now.data, "w", format="mpegts", options={"mpegts_copyts": "1"})
            now.stream = now.container.add_stream_from_template(stream)
        if key:
            packet = _whole(packet, codec.extradata)
        packet.stream = now.stream
        now.container.mux_one(packet)
        if stamp < now.first:
            now.begin, now.first = now.begin - (now.first - stamp) * clock.NS // TICKS, stamp
        now.end = max(now.end, now.begin + (stamp - now.first) * clock.NS // TICKS)

    def picture(self, jpeg: bytes, at: int, width: int, height: int) -> None:
        """A JPEG. at: ns UTC."""
        now = self._open
        if now is not None and (
            (now.form, now.width, now.height) != ("jpegs", width, height)
            or not 0 <= at - now.begin < clock.NS or now.data.tell() >= LARGEST
        ):  # fmt: skip
            self._finish()
        if self._open is None:
            self._open = _Open("jpegs", "mjpeg", width, height, at, 0, key=True)
        now = self._open
        now.pictures.append(Picture(now.data.tell(), len(jpeg), at))
        now.data.write(jpeg)
        now.end = at

    def gap(self) -> None:
        """What comes next does not follow on what came last."""
        with suppress(OSError):
            self._finish()
        self._open, self._follows = None, False

    def close(self) -> None:
        self.gap()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        now, self._open = self._open, None
        if now is None:
            return
        if now.container is not None:
            now.container.close()
        data = now.data.getvalue()
        if not data:
            return
        number = max(self._last + 1, clock.now() // 1_000_000)
        name = f"{number:016d}"
        about = Segment(
            file=f"{name}.{'ts' if now.form == 'mpegts' else 'mjpg'}", form=now.form, codec=now.codec,
            width=now.width, height=now.height, begin=now.begin, end=now.end, bytes=len(data), first=now.first,
            follows=self._follows, key=now.key, pictures=now.pictures,
        )  # fmt: skip
        head = msgspec.json.encode(about)
        self._room(len(data) + len(head))
        durable.replace(self._place / about.file, data, sync=False)
        durable.replace(self._place / f"{name}.json", head, sync=False)
        self._last, self._sizes[number], self._follows = number, len(data) + len(head), True
        self.written += 1

    def _room(self, size: int) -> None:
        while self._sizes and sum(self._sizes.values()) + size > self._budget:
            oldest = min(self._sizes)
            for end in ("json", "ts", "mjpg"):
                (self._place / f"{oldest:016d}.{end}").unlink(missing_ok=True)
            del self._sizes[oldest]

    def _recall(self) -> None:
        """What was kept before this process; halves go."""
        whole: dict[int, int] = {}
        for path in self._place.glob("*.json"):
            with suppress(OSError, DecodeError, ValueError):
                about = file(path, Segment, bounds=OWN)
                whole[int(path.stem)] = (self._place / about.file).stat().st_size + path.stat().st_size
        for path in self._place.iterdir():
            if not path.stem.isdigit() or int(path.stem) not in whole:
                path.unlink(missing_ok=True)
        self._sizes = whole
        self._last = max(whole, default=0)
        self._room(0)


def forget(folder: Path) -> None:
    """Gives back what a ring that is not wanted any more has taken. Raises OSError."""
    if folder.is_symlink():
        durable.remove(folder.readlink())
        folder.unlink()
    else:
        durable.remove(folder)


def _whole(packet: Any, extra: bytes | None) -> Any:
    """A key frame with its parameter sets, which RTSP tells beforehand, so that its segment stands for itself."""
    if not extra or not extra.startswith((b"\0\0\1", b"\0\0\0\1")):
        return packet
    data = bytes(packet)
    if extra in data[: 4096 + len(extra)]:
        return packet
    made = optional.load("av", "keeping video").Packet(extra + data)
    made.pts, made.dts, made.time_base, made.is_keyframe = packet.pts, packet.dts, packet.time_base, True
    return made


def _place(folder: Path, budget: int, shared: Path) -> Path:
    """Where segments are written: in memory if it has twice the room, behind a link where readers look.
    Raises OSError."""
    durable.make_folder(folder.parent)
    memory = _memory(folder, budget, shared)
    if folder.is_symlink() and (memory is None or folder.readlink() != memory):
        folder.unlink()
    if memory is None:
        durable.make_folder(folder)
        return folder
    if not folder.is_symlink():
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()
        folder.symlink_to(memory)
    return memory


def _memory(folder: Path, budget: int, shared: Path) -> Path | None:
    """A folder of this user alone in the memory file system, if there is one with room."""
    name = f"edgeloop-{os.getuid()}-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]}"
    place = shared / name / folder.name
    try:
        there = os.statvfs(shared)
        kept = sum(path.stat().st_size for path in place.glob("*")) if place.is_dir() else 0
        if there.f_bavail * there.f_frsize + kept < 2 * budget:
            return None
        for each in (place.parent, place):
            with suppress(FileExistsError):
                each.mkdir(mode=0o700)
            found = each.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                return None
    except OSError:
        return None
    return place
