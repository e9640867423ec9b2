"""Compressed video of the network: what is damaged is no picture, and what was before is kept in a ring."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from camera_inference.capture import Capture, Sink
from camera_inference.frame import Frame
from camera_inference.ring import Ring, forget
from camera_inference.sources import Place, Registry
from camera_inference.sources.stream.video import Stamps
from edgeloop.ring import read
from edgeloop_tools.bench.suite import load

CLIPS, WEB = load(Path(__file__).with_name("clips.py")), load(Path(__file__).with_name("test_web.py"))
clip, damaged, served, small, true = CLIPS.clip, CLIPS.damaged, CLIPS.served, CLIPS.small, CLIPS.true


def seen(uri: str, tmp_path: Path, ring: Ring | None = None, count: int = 0) -> tuple[list[Frame], Any]:
    """All pictures of one connection, or so many."""
    found: list[Frame] = []
    over = threading.Event()

    class Watching(WEB.Around):  # type: ignore[misc, name-defined]
        def problem(self, key: str, line: str) -> None:
            super().problem(key, line)
            over.set()

    def put(frame: Frame) -> None:
        found.append(frame)
        if count and len(found) >= count:
            over.set()

    known = Registry(pytest.fail).find(uri, "uri")
    place = Place(known.kind, known.place, known.options, "", 20.0)
    around = Watching()
    capture = Capture("gate", place, "every", tmp_path / "state", Sink(put, lambda: True, lambda: ""), around, ring)
    capture.start()
    assert over.wait(60), around.lines
    capture.end()
    capture.join(30)
    capture.close()
    return found, around


@pytest.mark.parametrize(("codec", "lost"), [("libx264", False), ("libx264", True), ("libx265", True)])
def test_no_damaged_frame_is_handed_on(codec: str, lost: bool, tmp_path: Path) -> None:
    with served(damaged(clip(codec), 0.04 if codec == "libx264" else 0.01, 5, lost=lost)) as uri:
        found, around = seen(uri, tmp_path)
    whole = [small(frame.image) for frame in found if frame.image is not None]
    assert 10 < len(whole) < len(found)
    distances = [float(np.abs(true(codec) - image).mean(axis=1).min()) for image in whole]
    assert max(distances) < 4
    assert {frame.reason for frame in found if frame.image is None} == {
        "the picture is damaged: its packets were lost or changed on the way"
    }
    assert around.counts["bad_frames.gate"] == len(found) - len(whole)


def test_a_whole_stream_is_whole(tmp_path: Path) -> None:
    with served(clip("libx264")) as uri:
        found, around = seen(uri, tmp_path)
    assert len(found) >= 184
    assert all(frame.image is not None for frame in found[:180])
    assert found[-1].time - found[0].time < 60 * 10**9
    assert around.lines[0].startswith(f"the camera delivers nothing any more ({uri})")


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_ring_keeps_packets_as_they_came(codec: str, tmp_path: Path) -> None:
    folder = tmp_path / "video" / "gate"
    ring = Ring(folder, 64 << 20, tmp_path / "none")
    with served(clip(codec)) as uri:
        seen(uri, tmp_path, ring)
    segments = read(folder)
    assert len(segments) >= 4
    assert [about.follows for _, about in segments] == [False] + (len(segments) - 1) * [True]
    for name, about in segments:
        assert (about.form, about.width, about.height, about.key) == ("mpegts", 320, 240, True)
        assert about.bytes == (folder / about.file).stat().st_size
        with av.open(str(folder / about.file)) as container:
            times = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
        assert min(times) == about.first
        assert about.begin + (max(times) - min(times)) * 10**9 // 90_000 == about.end
        assert read(folder, name) == [each for each in segments if each[0] > name]
    whole = b"".join((folder / about.file).read_bytes() for _, about in segments)
    with av.open(io.BytesIO(whole), format="mpegts") as container:
        kept = np.stack([small(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)])
    assert np.abs(kept - true(codec)).max() < 1


def test_the_ring_keeps_to_its_budget_and_survives(tmp_path: Path) -> None:
    folder = tmp_path / "video" / "gate"
    shared = tmp_path / "memory"
    shared.mkdir()
    ring = Ring(folder, 5000, shared)
    for k in range(12):
        ring.picture(bytes(900), 10**18 + k * 400_000_000, 8, 8)
    ring.close()
    kept = read(folder)
    assert 0 < sum(about.bytes for _, about in kept) <= 5000
    assert folder.is_symlink()
    assert folder.resolve().stat().st_mode & 0o777 == 0o700
    assert kept[-1][1].end == 10**18 + 11 * 400_000_000
    (folder / "0000000000000007.ts").write_bytes(b"half")
    again = Ring(folder, 5000, shared)
    assert not (folder / "0000000000000007.ts").exists()
    again.picture(b"jpeg", 10**18 + 60 * 10**9, 8, 8)
    again.close()
    assert read(folder, kept[-1][0])[0][1].follows is False
    for path in folder.resolve().iterdir():
        path.unlink()
    folder.resolve().rmdir()
    ring = Ring(folder, 5000, shared)
    ring.picture(b"jpeg", 1, 8, 8)
    ring.close()
    assert [about.begin for _, about in read(folder)] == [1]
    forget(folder)
    assert not os.path.lexists(folder)
    assert not any(path.is_file() for path in shared.rglob("*"))
    forget(folder)


def test_where_memory_is_not_ones_own_the_disk_is_used(tmp_path: Path) -> None:
    shared = tmp_path / "memory"
    shared.mkdir()
    ring = Ring(tmp_path / "video" / "gate", 5000, shared)
    place = (tmp_path / "video" / "gate").resolve()
    assert place.is_relative_to(shared)
    place.chmod(0o777)
    ring = Ring(tmp_path / "video" / "gate", 5000, shared)
    ring.picture(b"jpeg", 1, 8, 8)
    ring.close()
    assert not (tmp_path / "video" / "gate").is_symlink()
    assert os.listdir(place) == []


def test_a_ring_of_pictures_has_them_as_they_came(tmp_path: Path) -> None:
    eye = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    data = cv2.imencode(".jpg", eye)[1].tobytes()
    ring = Ring(tmp_path / "video" / "gate", 1 << 20, tmp_path / "none")
    with WEB.serving([data], 0.02) as uri:
        seen(f"{uri}/live.mjpg", tmp_path, ring, count=10)
    (_, about), *_ = read(tmp_path / "video" / "gate")
    assert (about.form, about.width, about.height) == ("jpegs", 64, 48)
    whole = (tmp_path / "video" / "gate" / about.file).read_bytes()
    assert {whole[p.offset : p.offset + p.size] for p in about.pictures} == {data}


def test_a_camera_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    _, around = seen("rtsp://me:hunter2@127.0.0.1:9/live", tmp_path)
    assert "the camera does not answer (rtsp://127.0.0.1:9/live)" in around.lines[0]
    assert not any("hunter2" in line for line in around.lines)




def test_pictures_that_come_out_of_order_have_the_times_they_were_taken_at() -> None:
    """B-frames: a camera sends the picture that others rest on as soon as it is taken, and those between after it."""
    frame, order = 40_000_000, [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11]
    began, stamps = 10**18, Stamps()
    taken, told, newest = [], [], 0
    for place, shown in enumerate(order):
        newest = max(newest, shown)
        arrived = began + newest * frame + 5_000_000 + (3_000_000 if place % 3 else 0)
        told.append(stamps.of(shown * frame, (place - 3) * frame, arrived))
        taken.append(began + shown * frame + 5_000_000)
    late = [one - other for one, other in zip(told[1:], taken[1:], strict=True)]
    assert max(map(abs, late)) < 1_000_000, late
