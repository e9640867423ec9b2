"""Cameras over HTTP: slow ones, cut pictures, single pictures, and a proxy that is not for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import pytest

from camera_inference.capture import Capture, Sink
from camera_inference.frame import Frame
from camera_inference.sources import Place, Registry
from edgeloop.sim.conveyor import Camera, Conveyor

EYE = Camera(Conveyor("gate", 4, defective=0.0))
JPEGS = [cv2.imencode(".jpg", EYE.image(n)[:, :, ::-1])[1].tobytes() for n in range(3)]
CUT = JPEGS[1][: len(JPEGS[1]) // 2] + b"\xff\xd9"


@contextmanager
def serving(pictures: list[bytes], pause: float = 0.0, *, lengths: bool = True) -> Iterator[str]:
    """`/live.mjpg` gives them over and over, `/snap.jpg` one a request."""
    turn = iter(range(10**9))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/snap.jpg":
                data = pictures[next(turn) % len(pictures)]
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=--edge")
            self.end_headers()
            try:
                while True:
                    data = pictures[next(turn) % len(pictures)]
                    size = b"Content-Length: %d\r\n" % len(data) if lengths else b""
                    self.wfile.write(b"----edge\r\nContent-Type: image/jpeg\r\n" + size + b"\r\n" + data + b"\r\n")
                    time.sleep(pause)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Around:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counts: dict[str, int] = {}

    def problem(self, key: str, line: str) -> None:
        self.lines.append(line)

    def clear(self, key: str) -> None:
        pass

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def log(self, line: str, **fields: Any) -> None:
        pass

    def unexpected(self, error: Exception) -> None:
        self.lines.append(repr(error))

    def publish(self, topic: str, document: Any) -> bool:
        return True


def frames(uri: str, count: int, tmp_path: Path, **more: Any) -> tuple[list[Frame], Around]:
    """So many, and what was said meanwhile."""
    found: list[Frame] = []
    enough = threading.Event()

    def put(frame: Frame) -> None:
        found.append(frame)
        if len(found) >= count:
            enough.set()

    known = Registry(pytest.fail).find(uri, "uri")
    place = Place(known.kind, known.place, known.options, "", **more)
    around = Around()
    sink = Sink(put, lambda: True, lambda: "")
    capture = Capture("gate", place, "every", tmp_path / "state", sink, around)
    capture.start()
    assert enough.wait(60), around.lines
    capture.end()
    capture.join(10)
    return found[:count], around


@pytest.mark.parametrize("lengths", [True, False])
def test_a_cut_picture_of_a_stream_is_no_picture(tmp_path: Path, lengths: bool) -> None:
    with serving([JPEGS[0], CUT, JPEGS[2]], lengths=lengths) as uri:
        found, around = frames(f"{uri}/live.mjpg", 6, tmp_path)
    assert [frame.image is not None for frame in found] == [True, False, True] * 2
    assert "cut off" in found[1].reason
    assert around.counts["bad_frames.gate"] >= 2


def test_a_slow_camera_has_its_time(tmp_path: Path) -> None:
    with serving(JPEGS, 1.2) as uri:
        found, around = frames(f"{uri}/live.mjpg", 3, tmp_path, patience=20.0)
        assert around.lines == []
        assert all(frame.image is not None for frame in found)
        _, around = frames(f"{uri}/live.mjpg", 2, tmp_path, patience=0.3)
        assert "nothing any more" in around.lines[0]


def test_single_pictures_are_asked_for_at_their_rate(tmp_path: Path) -> None:
    with serving([JPEGS[0], CUT]) as uri:
        began = time.monotonic()
        found, _ = frames(f"snapshot+{uri}/snap.jpg", 4, tmp_path, rate=5.0)
        assert time.monotonic() - began >= 0.55
    assert [frame.image is not None for frame in found] == [True, False] * 2


@pytest.mark.parametrize("path", ["live.mjpg", "snap.jpg"])
def test_the_device_s_proxy_is_not_for_machines_beside_it(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    with serving(JPEGS) as uri:
        found, around = frames(f"{'snapshot+' if path == 'snap.jpg' else ''}{uri}/{path}", 2, tmp_path, rate=20.0)
    assert around.lines == []
    assert all(frame.image is not None for frame in found)
