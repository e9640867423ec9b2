"""What happened to a camera, out of the results and alarms on the bus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from edgeloop import decode
from edgeloop.errors import DecodeError
from edgeloop.video.settings import Video


@dataclass(frozen=True, slots=True)
class Event:
    """time: ns UTC of the picture; of: a part, or an alarm's id."""

    time: int
    what: str
    of: str = ""


class _Result(msgspec.Struct):
    camera: str
    time: int
    verdict: str
    part: str = ""
    asset: str = ""
    confidence: float = 0.0
    edge: dict[str, Any] | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


class _Alarm(msgspec.Struct):
    id: str
    state: str
    monitor: str = ""
    asset: str = ""
    sample_time: int = 0
    time: int = 0


class Listener:
    """Of all cameras with video. Not thread-safe: on the bus's thread alone."""

    def __init__(self) -> None:
        self._assets: dict[str, str] = {}

    def results(self, payload: bytes, videos: dict[str, Video]) -> list[tuple[str, Event]]:
        """By camera. Raises DecodeError."""
        found = []
        for result in decode.document(payload, _Results, what="results").results:
            video = videos.get(result.camera)
            if video is None:
                continue
            self._assets[result.camera] = result.asset
            unsure = result.verdict == "unknown" or result.confidence < video.below or result.edge is not None
            if video.when == "unsure" and unsure:
                found.append((result.camera, Event(result.time, "unsure", result.part)))
            elif video.when == "events" and result.verdict == "fail":
                found.append((result.camera, Event(result.time, "fail", result.part)))
        return found

    def alarm(self, payload: bytes, videos: dict[str, Video]) -> list[tuple[str, Event]]:
        """Those raised by a camera, or of the machine that it looks at."""
        try:
            alarm = decode.document(payload, _Alarm, what="an alarm")
        except DecodeError:
            return []
        if alarm.state != "raised":
            return []
        moment = alarm.sample_time or alarm.time
        return [
            (camera, Event(moment, "alarm", alarm.id))
            for camera, video in videos.items()
            if video.when == "events"
            and (alarm.monitor == camera or (alarm.asset and alarm.asset == self._assets.get(camera)))
        ]
