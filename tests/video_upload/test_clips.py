"""Clips of what happened: from before it until after, in the upload queue, playable."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from playwright import sync_api as playwright

from edgeloop.clock import NS
from edgeloop.config.quantities import Duration, Size
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop.video.settings import Video
from edgeloop_tools.bench.suite import load
from video_upload.clips.recorder import Recorder
from video_upload.declaration import NAME
from video_upload.events import Event, Listener

films: Any = load(Path(__file__).with_name("films.py"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class Told:
    def __init__(self) -> None:
        self.problems: dict[str, str] = {}
        self.gone: list[tuple[int, int, str]] = []

    def problem(self, key: str, line: str) -> None:
        self.problems[key] = line

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def count(self, name: str, n: int = 1) -> None:
        pass

    def gauge(self, name: str, value: float) -> None:
        pass

    def log(self, line: str, **fields: Any) -> None:
        pass

    def unexpected(self, error: Exception) -> None:
        raise error

    def lost(self, camera: str, first: int, last: int, why: str) -> None:
        self.gone.append((first, last, why))


class Desk:
    """A recorder with its queue."""

    def __init__(self, root: Path, **video: Any) -> None:
        self.root, self.told = root, Told()
        self.queue = UploadQueue(root, NAME)
        options = {"to": "s3", "before": Duration("2 s"), "after": Duration("2 s"), **video}
        self.recorder = Recorder("gate", Video(**options), root / "gate", root / "clips", self.queue, self.told)

    def clips(self) -> list[tuple[Path, Any]]:
        reader = QueueReader(self.root, NAME)
        return [(path, d.document) for path, d in map(reader.describe, reader.entries())]


def play(desk: Desk, ring: Any, data: bytes, *events: float, begin: int = films.BEGIN) -> None:
    """A film goes by, with events at seconds of it."""
    waiting = sorted(events)
    for packet, at in films.packets(data, begin):
        written = ring.written
        ring.packet(packet, at)
        if ring.written > written:
            desk.recorder.step()
        while waiting and at >= begin + waiting[0] * NS:
            desk.recorder.event(Event(begin + round(waiting.pop(0) * NS), "fail", "p-7"))


def test_a_clip_is_of_before_and_after(tmp_path: Path) -> None:
    desk, ring, data = Desk(tmp_path), films.ring(tmp_path / "gate"), films.film(20)
    play(desk, ring, data, 8.5, 9.0)
    (path, said), *rest = desk.clips()
    assert not rest
    assert said["begin"] <= films.BEGIN + 6.5 * NS
    assert said["end"] >= films.BEGIN + 10.9 * NS
    assert said["end"] - said["begin"] < 7 * NS
    assert [event["of"] for event in said["events"]] == ["p-7", "p-7"]
    first = round((said["begin"] - films.BEGIN) * 15 / NS)
    assert films.same(films.decoded(path.read_bytes()), films.decoded(data)[first : first + said["frames"]])
    assert not desk.told.gone
    ring.close()


def test_what_goes_on_is_cut_and_what_stops_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path, when="always", longest=Duration("5 s"))
    ring = films.ring(tmp_path / "gate")
    play(desk, ring, films.film(13))
    ring.gap()
    play(desk, ring, films.film(3), begin=films.BEGIN + 100 * NS)
    ring.close()
    desk.recorder.step()
    monkeypatch.setattr("video_upload.clips.recorder.STILL", 0.0)
    desk.recorder.step()
    found = desk.clips()
    assert [said["frames"] for _, said in found] == [75, 75, 45, 45]
    assert found[3][1]["begin"] == films.BEGIN + 100 * NS


def test_a_process_that_ends_leaves_the_beginning_to_the_next(tmp_path: Path) -> None:
    desk, ring, data = Desk(tmp_path), films.ring(tmp_path / "gate", budget=150_000), films.film(20)
    packets = films.packets(data)
    for packet, at in islice(packets, 15 * 10):
        ring.packet(packet, at)
    desk.recorder.event(Event(films.BEGIN + 8 * NS, "fail"))
    desk.recorder.step()
    desk.recorder.close()
    assert not desk.clips()
    again = Desk(tmp_path)
    for packet, at in packets:
        ring.packet(packet, at)
        again.recorder.step()
    ((_, said),) = again.clips()
    assert said["begin"] <= films.BEGIN + 6 * NS
    assert said["end"] >= films.BEGIN + 9.9 * NS
    assert not again.told.gone
    ring.close()


def test_a_full_disk_is_one_line_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, ring = Desk(tmp_path, budget=Size("1 MiB")), films.ring(tmp_path / "gate")
    real = desk.queue.put

    def full(*arguments: Any, **options: Any) -> Any:
        from edgeloop.queue import QueueError

        raise QueueError("cannot keep what is to be uploaded", why="No space left on device")

    monkeypatch.setattr(desk.queue, "put", full)
    play(desk, ring, films.film(12), 4)
    assert "No space left" in str(desk.told.problems)
    monkeypatch.setattr(desk.queue, "put", real)
    desk.recorder._back.succeeded()
    desk.recorder.step()
    assert len(desk.clips()) == 1
    assert not desk.told.problems
    ring.close()


def test_events_are_those_of_the_camera() -> None:
    one = b'{"camera": "gate", "time": 5, "verdict": "%s", "part": "p1", "asset": "m", "confidence": %s}'
    results = b'{"results": [' + one + b"]}"
    listener, videos = Listener(), {"gate": Video(when="events"), "door": Video(when="unsure")}
    assert listener.results(results % (b"fail", b"0.9"), videos) == [("gate", Event(5, "fail", "p1"))]
    assert listener.results(results % (b"pass", b"0.1"), videos) == []
    unsure = {"gate": Video(when="unsure")}
    assert listener.results(results % (b"pass", b"0.1"), unsure) == [("gate", Event(5, "unsure", "p1"))]
    alarm = b'{"id": "a1", "state": "raised", "monitor": "%s", "asset": "%s", "sample_time": 9, "time": 10}'
    assert listener.alarm(alarm % (b"vib", b"m"), videos) == [("gate", Event(9, "alarm", "a1"))]
    assert listener.alarm(alarm % (b"vib", b"other"), videos) == []
    assert listener.alarm(b"nothing", videos) == []


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_page()
        made.goto(f"http://127.0.0.1:{server.server_port}/")
        yield made
        browser.close()
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: chromium)")
def test_a_browser_plays_it(tmp_path: Path, page: Any) -> None:
    desk, ring = Desk(tmp_path), films.ring(tmp_path / "gate")
    play(desk, ring, films.film(12), 5)
    ring.close()
    ((path, said),) = desk.clips()
    shutil.copy(path, tmp_path / "clip.mp4")
    found = page.evaluate(
        """async () => {
            const video = document.createElement('video');
            video.src = '/clip.mp4'; video.muted = true; document.body.append(video);
            await new Promise((done, failed) => {
                video.oncanplaythrough = done;
                video.onerror = () => failed(video.error.message);
            });
            video.currentTime = 2.5;
            await new Promise((done) => { video.onseeked = done; });
            const canvas = document.createElement('canvas');
            canvas.width = video.videoWidth; canvas.height = video.videoHeight;
            let light = 0;
            for (let tried = 0; !light && tried < 300; tried++) {  // a frame is painted some time after the seek
                await new Promise((done) => setTimeout(done, 100));
                canvas.getContext('2d').drawImage(video, 0, 0);
                const pixels = canvas.getContext('2d').getImageData(0, 120, video.videoWidth, 1).data;
                for (let k = 0; k < pixels.length; k += 4) light += pixels[k] > 150;
            }
            return [video.videoWidth, video.videoHeight, video.duration, light];
        }"""
    )
    assert found[:2] == [320, 240]
    assert found[2] == pytest.approx(said["frames"] / 15, abs=0.3)
    assert 35 <= found[3] <= 45, "the bar of the picture"
