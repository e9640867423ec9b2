"""One camera's clips: what happened, from before it until after, as one file each."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO, Final

from edgeloop.clock import NS
from edgeloop.durable import BackOff
from edgeloop.errors import EdgeloopError
from edgeloop.queue import QueueError, UploadQueue
from edgeloop.video.settings import Video
from video_upload.clips.mp4 import clip
from video_upload.events import Event
from video_upload.kvs.producer import Told
from video_upload.packets.backlog import Backlog, Entry
from video_upload.packets.choice import Choice
from video_upload.packets.fragment import Fragment
from video_upload.packets.reading import read

CLIPS: Final = "clips"
APART: Final = 2 * NS
"""ns between two segments that are not of one clip."""
STILL: Final = 5.0
"""s without a new segment after which a clip is over."""
SAVED: Final = 1.0
REMEMBERED: Final = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of a clip. fragment: kept where it was encoded here, which is not done twice."""

    entry: Entry
    kind: tuple[str, int, int, bytes]
    begin: int
    end: int
    frames: int
    fragment: Fragment | None


class Recorder:
    """`event` from any thread; `step` from the loop's."""

    def __init__(self, camera: str, video: Video, ring: Path, folder: Path, queue: UploadQueue, told: Told) -> None:
        """Raises OSError."""
        self._camera, self._video, self._queue, self._told = camera, video, queue, told
        self._backlog = Backlog(ring, folder, int(video.budget), self._lost)
        self._choice = Choice(video, self._backlog.spans)
        self._arriving: SimpleQueue[Event] = SimpleQueue()
        known = [Event(*entry) for entry in self._backlog.events]
        self._events: deque[Event] = deque(known, maxlen=REMEMBERED)
        self._back = BackOff(1.0, 60.0)
        self._saved = self._came = time.monotonic()
        self._newest = 0
        self._key = f"clips.{camera}"
        if self._backlog.damage:
            told.problem(f"{self._key}.cursor", self._backlog.damage)

    def event(self, event: Event) -> None:
        self._arriving.put(event)

    def step(self) -> None:
        for name, segment in self._backlog.fresh():
            self._choice.offer(name, segment)
            self._newest, self._came = segment.end, time.monotonic()
        while True:
            try:
                event = self._arriving.get_nowait()
            except Empty:
                break
            self._events.append(event)
            self._backlog.events = [(e.time, e.what, e.of) for e in self._events]
            self._choice.event(event.time)
        self._backlog.choose(self._choice)
        if self._back.due:
            self._write()
        self._keep()

    def close(self) -> None:
        """What is half a clip stays for the next process."""
        try:
            self._backlog.keep(everything=True)
            self._backlog.save()
        except OSError as error:
            self._told.problem(f"{self._key}.disk", f"{self._camera}: clips cannot be kept: {error.strerror}")

    # -- inside --------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        try:
            self._backlog.keep()
            if time.monotonic() - self._saved >= SAVED:
                self._saved = time.monotonic()
                self._backlog.save()
            self._told.clear(f"{self._key}.disk")
        except OSError as error:
            line = f"{self._camera}: clips that are being made cannot be kept: {error.strerror}; free space on the disk"
            self._told.problem(f"{self._key}.disk", line)

    def _write(self) -> None:
        """Clips that are whole."""
        while group := self._whole():
            try:
                for run in _alike(self._pieces(group)):
                    self._put(run)
                self._told.clear(self._key)
                self._back.succeeded()
            except QueueError as error:
                self._back.failed()
                self._told.problem(self._key, f"{self._camera}: {error}")
                return
            except FileNotFoundError:
                return
            for entry in group:
                self._backlog.arrived(entry.name)

    def _whole(self) -> list[Entry]:
        """The oldest segments that make up a clip, where it is over."""
        entries = self._backlog.entries
        group: list[Entry] = []
        for entry in entries:
            if group:
                last = group[-1].segment
                apart = not -APART < entry.segment.begin - last.end < APART
                if apart or entry.segment.end - group[0].segment.begin > int(self._video.longest):
                    return group
            group.append(entry)
        if not group:
            return []
        last = group[-1].segment
        waits = self._video.when in ("always", "schedule") or any(
            begin <= last.end and end >= self._newest for begin, end in self._choice.spans
        )
        return [] if waits and time.monotonic() - self._came < STILL else group

    def _pieces(self, group: list[Entry]) -> list[Piece]:
        """What can be used of it; the rest is declared."""
        found = []
        for entry in group:
            try:
                fragment = self._load(entry)
                self._told.clear(f"{self._key}.segment")
            except FileNotFoundError:
                self._backlog.dropped(entry.name, "the ring was too short")
            except EdgeloopError as error:
                self._told.count(f"clips_unusable.{self._camera}")
                self._told.problem(f"{self._key}.segment", f"{self._camera}: {error}")
                self._backlog.dropped(entry.name, str(error))
            else:
                copied = entry.segment.form == "mpegts" and self._video.encode == "copy"
                found.append(
                    Piece(
                        entry, fragment.kind, fragment.begin, fragment.end, len(fragment.frames),
                        None if copied else fragment,
                    )
                )  # fmt: skip
        return found

    def _load(self, entry: Entry) -> Fragment:
        return read(self._backlog.path(entry), entry.name, entry.segment, self._video)

    def _put(self, run: list[Piece]) -> None:
        """Raises QueueError, FileNotFoundError where a segment went meanwhile."""
        begin, end, frames = run[0].begin, run[-1].end, sum(piece.frames for piece in run)
        usual = (end - begin) // max(1, frames - 1)

        def write(file: BinaryIO) -> None:
            for data in clip((piece.fragment or self._load(piece.entry) for piece in run), end - begin + usual):
                file.write(data)

        before, after = int(self._video.before), int(self._video.after)
        events = [e for e in self._events if begin - after <= e.time <= end + before]
        codec, width, height, _ = run[0].kind
        document: dict[str, Any] = {
            "schema": 1, "camera": self._camera, "begin": begin, "end": end, "codec": codec, "width": width,
            "height": height, "frames": frames,
            "events": [{"time": e.time, "what": e.what, "of": e.of} for e in events[:20]],
        }  # fmt: skip
        name = f"{self._camera}_{begin // 1_000_000}.mp4"
        entry = self._queue.put(CLIPS, name, write, document, time=begin)
        size = (self._queue.folder / entry.id / name).stat().st_size
        self._told.count(f"clips.{self._camera}")
        self._told.count(f"clip_bytes.{self._camera}", size)
        self._told.log("clip", camera=self._camera, frames=frames, bytes=size)

    def _lost(self, first: int, last: int, why: str) -> None:
        self._told.count(f"clips_dropped.{self._camera}")
        self._told.lost(self._camera, first, last, why)


def _alike(pieces: list[Piece]) -> list[list[Piece]]:
    """Runs of one kind: a camera that was set anew begins a file of its own."""
    runs: list[list[Piece]] = []
    for piece in pieces:
        if runs and runs[-1][-1].kind == piece.kind:
            runs[-1].append(piece)
        else:
            runs.append([piece])
    return runs
