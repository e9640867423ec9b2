"""Cameras whose video goes up: one producer and one recorder each, as configured."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgeloop import clock, topics
from edgeloop.component import App
from edgeloop.documents import encode
from edgeloop.errors import DecodeError
from edgeloop.layout import safe
from edgeloop.opinions.messages import OWNER
from edgeloop.queue import QueueError, UploadQueue
from edgeloop.video.settings import Video
from video_upload.aws.credentials import CredentialSource
from video_upload.clips.recorder import Recorder
from video_upload.events import Event, Listener
from video_upload.kvs.producer import Producer

GAPS: Final = "gaps"


@dataclass(slots=True)
class Running:
    video: Video
    producer: Producer | None
    recorder: Recorder | None

    def event(self, event: Event) -> None:
        if self.producer is not None:
            self.producer.event(event.time)
        if self.recorder is not None:
            self.recorder.event(event)


class Cameras:
    """`apply` from any thread; `step` from the loop's."""

    def __init__(self, app: App[Any], credentials: CredentialSource, queue: UploadQueue, device: str) -> None:
        self._app, self._credentials, self._queue, self._device = app, credentials, queue, device
        self._lock = threading.Lock()
        self._wanted: dict[str, Video] = {}
        self._running: dict[str, Running] = {}
        self._listener = Listener()

    def start(self) -> None:
        self._app.bus.subscribe(topics.results(OWNER), self._results)
        self._app.bus.subscribe(topics.ALARMS, self._alarm)

    def apply(self, videos: Mapping[str, Video]) -> None:
        with self._lock:
            self._wanted = dict(videos)

    def step(self) -> None:
        with self._lock:
            wanted = self._wanted
        for id in [id for id, running in self._running.items() if wanted.get(id) != running.video]:
            self._close(id)
        for id, video in wanted.items():
            if id not in self._running:
                self._open(id, video)
        for running in self._running.values():
            if running.recorder is not None:
                running.recorder.step()

    def close(self) -> None:
        for running in self._running.values():
            if running.producer is not None:
                running.producer.end()
        for id in list(self._running):
            self._close(id)

    # what producers and recorders need

    def problem(self, key: str, line: str) -> None:
        self._app.health.problem(key, line)

    def clear(self, key: str) -> None:
        self._app.health.clear(key)

    def count(self, name: str, n: int = 1) -> None:
        self._app.health.count(name, n)

    def gauge(self, name: str, value: float) -> None:
        self._app.health.gauge(name, value)

    def log(self, line: str, **fields: Any) -> None:
        self._app.log.info("%s", line, **fields)

    def unexpected(self, error: Exception) -> None:
        self._app.log.exception(error)

    def lost(self, camera: str, first: int, last: int, why: str) -> None:
        """Pictures between two moments will not arrive: that goes up instead."""
        record = {
            "schema": 1, "stream": f"{camera}_video", "device": self._device, "first": first, "last": last,
            "reason": "dropped", "why": why[:200], "time": clock.now(),
        }  # fmt: skip
        try:
            self._queue.append(GAPS, encode(record), sync=True)
        except QueueError as error:
            self._app.health.problem("upload", str(error))

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, id: str, video: Video) -> None:
        ring = self._app.root / "work" / OWNER / "video" / id
        key = f"video.{id}.folder"
        try:
            producer = self._producer(id, video, ring) if "kvs" in video.destinations else None
            recorder = None
            if "s3" in video.destinations:
                folder = self._app.work / "clips" / id
                recorder = Recorder(id, video, ring, folder, self._queue, self)
        except OSError as error:
            self._app.health.problem(key, f"{id}: its video has no folder: {error.strerror}; free space on the disk")
            return
        self._app.health.clear(key)
        if producer is not None:
            producer.start()
        self._running[id] = Running(video, producer, recorder)
        self._app.log.info("video", camera=id, to=" ".join(sorted(video.destinations)), when=video.when)

    def _producer(self, id: str, video: Video, ring: Path) -> Producer:
        stream = video.stream or f"{safe(self._device).replace(':', '-')}-{id}"
        return Producer(id, video, stream, ring, self._app.work / "kvs" / id, self._credentials, self)

    def _close(self, id: str) -> None:
        running = self._running.pop(id)
        if running.producer is not None:
            running.producer.close()
        if running.recorder is not None:
            running.recorder.close()
        for name in (f"video.{id}", f"clips.{id}"):
            self._app.health.clear(name)
            self._app.health.clear_below(name)

    def _results(self, topic: str, payload: bytes) -> None:
        with self._lock:
            videos = self._wanted
        try:
            found = self._listener.results(payload, videos)
            self._app.health.clear("results")
        except DecodeError as error:
            self._app.health.problem("results", str(error))
            return
        self._told(found)

    def _alarm(self, topic: str, payload: bytes) -> None:
        with self._lock:
            videos = self._wanted
        self._told(self._listener.alarm(payload, videos))

    def _told(self, events: list[tuple[str, Event]]) -> None:
        for camera, event in events:
            running = self._running.get(camera)
            if running is not None:
                running.event(event)
