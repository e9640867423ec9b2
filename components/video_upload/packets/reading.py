"""A segment of a ring as what goes up, as the line says it: copied, or encoded here."""

from __future__ import annotations

from pathlib import Path

from edgeloop.ring import Segment
from edgeloop.video.settings import Video
from video_upload.packets.encode import encoded
from video_upload.packets.fragment import Fragment, content_of, made


def read(path: Path, name: str, segment: Segment, video: Video) -> Fragment:
    """Raises NoVideo, EdgeloopError where what is needed is not installed, FileNotFoundError where it is gone."""
    data = content_of(path)
    if segment.form != "mpegts" or video.encode == "h264":
        return encoded(data, name, segment, video)
    return made(data, name, segment)
