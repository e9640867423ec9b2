"""Video encoded here: where a camera gives pictures and no packets, or a line asks for another size or rate."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction as Ratio
from typing import Any, Final

from edgeloop.clock import NS
from edgeloop.optional import load
from edgeloop.ring import Segment
from edgeloop.video.settings import Video
from video_upload.packets.fragment import Fragment, Frame
from video_upload.packets.nal import Track
from video_upload.packets.transport import TICKS, NoVideo, after

SIDE: Final = 16
OPTIONS: Final = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "bf": "0", "threads": "1", "crf": "26"},
    "h264_v4l2m2m": {"bf": "0"},
    "h264_vaapi": {"bf": "0"},
}


def encoded(data: bytes, name: str, segment: Segment, video: Video) -> Fragment:
    """A segment of pictures or packets as H.264, from a key frame on. Raises NoVideo."""
    av = load("av", "encoding video")
    try:
        return _encoded(av, data, name, segment, video)
    except (av.FFmpegError, ValueError, TypeError, IndexError) as error:
        raise NoVideo("a segment cannot be encoded", why=f"{video.encoder}: {error}") from None


def _encoded(av: Any, data: bytes, name: str, segment: Segment, video: Video) -> Fragment:
    context: Any = None
    track, width, height = Track("h264"), 0, 0
    frames: list[Frame] = []
    times: list[int] = []
    slot = -1
    for time, picture in _pictures(av, data, segment):
        if video.rate:
            before, slot = slot, int(time * video.rate // NS)
            if slot == before:
                continue
        if context is None:
            width, height = _size(video, picture.width, picture.height)
            context = av.CodecContext.create(video.encoder, "w")
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.time_base, context.framerate = Ratio(1, TICKS), Ratio(30)
            context.gop_size = 10_000
            context.options = OPTIONS.get(video.encoder, {})
        shown = picture.reformat(width, height, "yuv420p")
        shown.pts = (time - segment.begin) * TICKS // NS
        if times and shown.pts <= (times[-1] - segment.begin) * TICKS // NS:
            continue
        shown.time_base = Ratio(1, TICKS)
        times.append(time)
        frames += _frames(context.encode(shown), track, times, len(frames))
    if context is not None:
        frames += _frames(context.encode(None), track, times, len(frames))
    if not frames or not frames[0].key or not track.private:
        raise NoVideo("a segment gave no pictures", why=f"{len(frames)} of {len(times)}")
    return Fragment(name, "h264", width, height, track.private, frames, False)


def _frames(packets: Any, track: Track, times: list[int], done: int) -> list[Frame]:
    """In the order they were given: nothing is shuffled."""
    found: list[Frame] = []
    for packet in packets:
        body, key = track.take(bytes(packet))
        time = times[done + len(found)]
        found.append(Frame(time, time, key, body))
    return found


def _pictures(av: Any, data: bytes, segment: Segment) -> Iterator[tuple[int, Any]]:
    """ns UTC and frames."""
    if segment.form == "jpegs":
        decoder = av.CodecContext.create("mjpeg", "r")
        for entry in segment.pictures:
            for picture in decoder.decode(av.Packet(data[entry.offset : entry.offset + entry.size])):
                yield entry.time, picture
        return
    with av.open(io.BytesIO(data), format="mpegts") as container:
        for picture in container.decode(video=0):
            ticks = round(picture.pts * picture.time_base * TICKS)
            yield segment.begin + after(ticks, segment.first) * NS // TICKS, picture


def _size(video: Video, width: int, height: int) -> tuple[int, int]:
    """Even numbers, never larger than what there is.

    >>> _size(Video(size="360p"), 1920, 1080), _size(Video(), 641, 481), _size(Video(size="2000p"), 640, 480)
    ((640, 360), (640, 480), (640, 480))
    """
    across, down = video.lines
    if down and not across:
        across = round(width * down / height)
    if not down or across > width or down > height:
        across, down = width, height
    return max(SIDE, across - across % 2), max(SIDE, down - down % 2)
