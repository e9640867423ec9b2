"""Compressed video as a camera sends it, and what the way does to it."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, CHUNK = 320, 240, 1316


@cache
def clip(codec: str, frames: int = 186) -> bytes:
    """MPEG-TS, 25 pictures a second, a key frame each second."""
    target = io.BytesIO()
    noise = np.random.default_rng(1)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    with av.open(target, "w", format="mpegts") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        stream.options = {"g": "25", "preset": "veryfast", **quiet}
        for k in range(frames):
            image = np.stack([(columns + 3 * k) % 256, (rows + 2 * k) % 256, (columns + rows) % 256], -1)
            image[60:140, 5 * k % 280 : 5 * k % 280 + 40] = (255, 30, 30)
            image[100:120] = noise.integers(0, 255, (20, WIDTH, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    return target.getvalue()


def damaged(data: bytes, share: float, seed: int, *, lost: bool = False) -> bytes:
    """In a share of the chunks 8 bytes are changed, or the chunk is lost. The first ones arrive."""
    chance, found = random.Random(seed), bytearray()
    for k in range(0, len(data), CHUNK):
        chunk = bytearray(data[k : k + CHUNK])
        if k > 20 * CHUNK and chance.random() < share:
            if lost:
                continue
            for _ in range(8):
                chunk[chance.randrange(len(chunk))] = chance.randrange(256)
        found += chunk
    return bytes(found)


def small(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a picture is compared by."""
    return image[::4, ::4].mean(axis=2, dtype=np.float32).ravel()


@cache
def true(codec: str) -> NDArray[np.float32]:
    with av.open(io.BytesIO(clip(codec)), format="mpegts") as container:
        return np.stack([small(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)])


@contextmanager
def served(data: bytes) -> Iterator[str]:
    """`/live.ts` gives it once for each connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            try:
                self.wfile.write(data)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
