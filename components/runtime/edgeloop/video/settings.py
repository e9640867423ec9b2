"""What `cameras.<id>.video` says. Both who keeps the ring and who sends read it."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.quantities import Duration, Rate, Size

Destination = Literal["kvs", "s3"]
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"\s*(?:(?P<days>[a-z]{3}(?:\s*-\s*[a-z]{3})?(?:\s*,\s*[a-z]{3}(?:\s*-\s*[a-z]{3})?)*)\s+)?"
    r"(?P<begin>[0-2]?\d:[0-5]\d)\s*-\s*(?P<end>[0-2]?\d:[0-5]\d)\s*"
)
_STREAM = re.compile(r"[a-zA-Z0-9_.-]{1,256}")
_SIZE = re.compile(r"(\d{2,5})(?:x(\d{2,5})|p)?")


class Video(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A camera's video, up: as a stream, as clips, or both."""

    to: Annotated[
        str, Meta(title="To", description="kvs (Kinesis Video Streams), s3 (clips, by the upload queue), or both")
    ] = "s3"
    stream: Annotated[
        str,
        Meta(title="Stream", description="name of the stream in Kinesis Video Streams; empty: <thing>-<camera>"),
    ] = ""
    when: Annotated[
        Literal["always", "events", "unsure", "schedule"],
        Meta(
            title="When",
            description="always; events: around parts that fail and alarms; unsure: around what the model was unsure "
            "of; schedule: at the times of `schedule`",
        ),
    ] = "events"
    schedule: Annotated[
        str,
        Meta(title="Schedule", description='"mon-fri 06:00-22:00", several with ; between, by the clock of the device'),
    ] = ""
    before: Annotated[Duration, Meta(title="Before", description="kept before an event", extra={"le": "10 min"})] = (
        Duration("10 s")
    )
    after: Annotated[Duration, Meta(title="After", description="and after it", extra={"le": "10 min"})] = Duration(
        "20 s"
    )
    longest: Annotated[
        Duration,
        Meta(
            title="Longest", description="of one clip; what goes on is the next one", extra={"ge": "1 s", "le": "1 h"}
        ),
    ] = Duration("5 min")
    below: Annotated[
        float, Meta(title="Below", description="confidence under which the model counts as unsure", ge=0, le=1)
    ] = 0.8
    encode: Annotated[
        Literal["copy", "h264"],
        Meta(title="Encode", description="copy: the camera's own packets where it has any; h264: encoded here"),
    ] = "copy"
    encoder: Annotated[
        str,
        Meta(
            title="Encoder",
            description="libx264, h264_v4l2m2m, h264_vaapi, … of the device's FFmpeg, for what is encoded here",
            pattern=r"^[a-z0-9_]{1,32}$",
        ),
    ] = "libx264"
    size: Annotated[
        str, Meta(title="Size", description='of what is encoded here: "640p" (lines), "640x480"; empty: the camera\'s')
    ] = ""
    rate: Annotated[Rate, Meta(title="Rate", description="pictures a second of what is encoded here; 0: all")] = Rate(0)
    budget: Annotated[
        Size,
        Meta(
            title="Budget",
            description="disk space of what waits while the network is gone; the oldest goes first and is declared",
            extra={"ge": "1 MiB"},
        ),
    ] = Size("2 GiB")

    def __post_init__(self) -> None:
        words = self.to.replace(",", " ").split()
        if not words or not set(words) <= {"kvs", "s3"}:
            raise ValueError(f"to: {self.to!r} is none of kvs, s3")
        if self.stream and not _STREAM.fullmatch(self.stream):
            raise ValueError(f"stream: {self.stream!r} is no name of a stream (letters, digits, _ . and -)")
        if (self.when == "schedule") != bool(self.schedule.strip()):
            raise ValueError("schedule: it is for when: schedule, such as mon-fri 06:00-22:00")
        _ = self.windows, self.lines

    @property
    def destinations(self) -> frozenset[str]:
        return frozenset(self.to.replace(",", " ").split())

    @property
    def windows(self) -> tuple[tuple[frozenset[int], int, int], ...]:
        """Days (0 is Monday), begin and end in minutes of the day; an end before the begin is on the next day.

        >>> Video(when="schedule", schedule="mon-fri 06:00-22:00").windows
        ((frozenset({0, 1, 2, 3, 4}), 360, 1320),)
        """
        return tuple(_window(text) for text in self.schedule.lower().split(";") if text.strip())

    @property
    def lines(self) -> tuple[int, int]:
        """(width, height) of what is encoded here, 0 where that follows from the other.

        >>> Video(size="640p").lines, Video(size="640x480").lines, Video().lines
        ((0, 640), (640, 480), (0, 0))
        """
        if not self.size.strip():
            return 0, 0
        match = _SIZE.fullmatch(self.size.strip().lower())
        if match is None or not 16 <= int(match[1]) <= 16384:
            raise ValueError(f'size: {self.size!r} is no size, such as "640p" or "640x480"')
        return (int(match[1]), int(match[2])) if match[2] else (0, int(match[1]))


def _window(text: str) -> tuple[frozenset[int], int, int]:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"schedule: {text.strip()!r} is no time, such as mon-fri 06:00-22:00")
    begin, end = (_minutes(match[name]) for name in ("begin", "end"))
    days: set[int] = set()
    for span in (match["days"] or "mon-sun").split(","):
        first, _, last = (word.strip() for word in span.partition("-"))
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(f"schedule: {span.strip()!r} is no day, such as mon")
        low, high = _DAYS.index(first), _DAYS.index(last or first)
        days |= {k % 7 for k in range(low, high + 1 + (7 if high < low else 0))}
    return frozenset(days), begin, end


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if hours > 24 or hours * 60 + minutes > 24 * 60:
        raise ValueError(f"schedule: {text!r} is no time of a day")
    return hours * 60 + minutes
