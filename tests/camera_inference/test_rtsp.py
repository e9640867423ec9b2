"""RTSP of a server that nobody here wrote: `EDGELOOP_RTSP_SERVER=<rtsp-server>`, the program of the package
aio-rtsp-toolkit (`-d FOLDER -H HOST -p PORT -cp PORT`), in an environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from camera_inference.capture import Capture, Sink
from camera_inference.frame import Frame
from camera_inference.ring import Ring
from camera_inference.sources import Place, Registry
from edgeloop.ring import read
from edgeloop_tools.bench.suite import load

SERVER = os.environ.get("EDGELOOP_RTSP_SERVER", "")
WEB = load(Path(__file__).with_name("test_web.py"))


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def film(path: Path) -> None:
    """20 s as a camera sends them: a key frame a second, none that refers to a later one."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.options = {"g": "25", "tune": "zerolatency", "bf": "0", "preset": "veryfast"}
        rows, columns = np.mgrid[0:120, 0:160]
        for k in range(500):
            image = np.stack([(columns + 3 * k) % 256, (rows + 2 * k) % 256, (columns + rows) % 256], -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image.astype(np.uint8), format="rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.skipif(not SERVER, reason="no EDGELOOP_RTSP_SERVER")
def test_a_real_server_s_stamps_and_packets_and_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film(folder / "line.mp4")
    at, control = port(), port()
    command = [SERVER, "-d", str(folder), "-H", "127.0.0.1", "-p", str(at), "-cp", str(control)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found: list[Frame] = []
    enough = threading.Event()

    def put(frame: Frame) -> None:
        found.append(frame)
        if len(found) >= 200:
            enough.set()

    known = Registry(pytest.fail).find(f"rtsp://127.0.0.1:{at}/line.mp4", "uri")
    place = Place(known.kind, known.place, known.options, "", 5.0)
    around = WEB.Around()
    ring = Ring(tmp_path / "video" / "gate", 64 << 20, tmp_path / "none")
    capture = Capture("gate", place, "every", tmp_path / "state", Sink(put, lambda: True, lambda: ""), around, ring)
    try:
        capture.start()
        assert enough.wait(60), around.lines
        server.kill()
        end = time.monotonic() + 60
        while not any("delivers nothing any more" in line for line in around.lines):
            assert time.monotonic() < end, around.lines
            time.sleep(0.05)
    finally:
        server.kill()
        server.wait(60)
        capture.end()
        capture.join(30)
        capture.close()
    assert all(frame.image is not None for frame in found[:200])
    steps = np.diff([frame.time for frame in found[100:200]]) / 1e6
    assert np.percentile(steps, [5, 95]) == pytest.approx([40, 40], abs=1)
    segments = read(tmp_path / "video" / "gate")
    assert len(segments) >= 5
    assert all(about.key and about.form == "mpegts" for _, about in segments), segments
    with av.open(str(tmp_path / "video" / "gate" / segments[1][1].file)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25
