"""Films of generated pictures, as a camera's packets in a ring."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from camera_inference.ring import Ring
from edgeloop.clock import NS

BEGIN = 1_772_000_000 * NS


def picture(number: int, width: int = 320, height: int = 240) -> Any:
    image = np.full((height, width, 3), 40, np.uint8)
    left = (number * 5) % (width - 40)
    image[60:180, left : left + 40] = (220, 180, 60)
    return image


def film(
    seconds: float = 4, rate: int = 15, codec: str = "libx264", width: int = 320, height: int = 240, **options: str
) -> bytes:  # fmt: skip
    """MPEG-TS with a key frame each second."""
    made = io.BytesIO()
    with av.open(made, "w", format="mpegts") as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        usual = {"g": str(rate), "bf": "0", "preset": "ultrafast"}
        if codec == "libx265":
            usual = {"x265-params": f"keyint={rate}:bframes=0:log-level=none"}
        stream.options = usual | options
        for number in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(picture(number, width, height), "rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return made.getvalue()


def packets(data: bytes, begin: int = BEGIN) -> Iterator[tuple[Any, int]]:
    """Packets and the moments of their pictures, ns UTC."""
    first: int | None = None
    with av.open(io.BytesIO(data)) as container:
        for packet in container.demux(video=0):
            if packet.dts is None:
                continue
            first = packet.pts if first is None else first
            yield packet, begin + round((packet.pts - first) * packet.time_base * NS)


def ring(folder: Path, data: bytes = b"", begin: int = BEGIN, budget: int = 64 << 20) -> Ring:
    """A ring, open, with a film in it."""
    made = Ring(folder, budget, folder.parent / "no-memory")
    for packet, at in packets(data, begin) if data else ():
        made.packet(packet, at)
    return made


def decoded(data: bytes) -> list[Any]:
    """Pictures of a file."""
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all((a == b).all() for a, b in zip(left, right, strict=True))
