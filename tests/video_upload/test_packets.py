"""From MPEG-TS to Matroska and MP4, read back by FFmpeg: every picture equal, every time exact."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest

from edgeloop.ring import Segment
from edgeloop.ring import read as segments
from edgeloop.video.settings import Video
from edgeloop_tools.bench.suite import load
from edgeloop_tools.cloud.matroska import Cluster, Header, Malformed, Parser
from video_upload.clips.mp4 import clip
from video_upload.kvs import matroska
from video_upload.packets.fragment import Fragment
from video_upload.packets.reading import read
from video_upload.packets.transport import NoVideo, units

films: Any = load(Path(__file__).with_name("films.py"))

COPY = Video(to="s3")


def fragments(folder: Path, data: bytes) -> list[Fragment]:
    films.ring(folder, data).close()
    return [read(folder / s.file, name, s, COPY) for name, s in segments(folder)]


FORMS = [("libx264", {}), ("libx264", {"bf": "2", "preset": "medium"}), ("libx265", {})]


@pytest.mark.parametrize(("codec", "options"), FORMS, ids=["h264", "b-frames", "h265"])
def test_packets_go_through_untouched(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    data = films.film(codec=codec, **options)
    shown = films.decoded(data)
    made = fragments(tmp_path / "gate", data)
    assert len(made) >= 3
    times = sorted(frame.time for fragment in made for frame in fragment.frames)
    assert max(abs(t - films.BEGIN - round(k * 1e9 / 15)) for k, t in enumerate(times)) <= 1
    assert films.same(films.decoded(b"".join(clip(made, 4 * 10**9))), shown)
    whole = matroska.header(made[0]) + b"".join(map(matroska.cluster, made))
    assert films.same(films.decoded(whole), shown)
    alone = [films.decoded(matroska.header(fragment) + matroska.cluster(fragment)) for fragment in made]
    assert sum(map(len, alone)) == len(shown)
    assert made[0].shuffled == (options.get("bf") == "2")
    with av.open(io.BytesIO(b"".join(clip(made, 4 * 10**9)))) as container:
        stamps = sorted(p.pts * p.time_base for p in container.demux(video=0) if p.pts is not None)
        assert float(stamps[-1] - stamps[0]) == pytest.approx(59 / 15, abs=1e-3)


def test_a_reader_of_matroska_takes_any_pieces(tmp_path: Path) -> None:
    made = fragments(tmp_path / "gate", films.film(2))
    whole = matroska.header(made[0]) + b"".join(map(matroska.cluster, made))
    for size in (1, 7, 4096):
        parser = Parser()
        parts = [p for at in range(0, len(whole), size) for p in parser.feed(whole[at : at + size])] + [*parser.end()]
        assert isinstance(parts[0], Header)
        clusters = [part for part in parts if isinstance(part, Cluster)]
        assert [len(c.blocks) for c in clusters] == [len(f.frames) for f in made]
        assert [b.data for c in clusters for b in c.blocks] == [f.data for m in made for f in m.frames]
        assert clusters[0].timecode == films.BEGIN // 10**6
    with pytest.raises(Malformed):
        list(Parser().feed(b"\0" * 64))


def test_what_is_damaged_is_said_and_not_sent(tmp_path: Path) -> None:
    made = films.ring(tmp_path / "gate", films.film(3))
    made.close()
    name, segment = segments(tmp_path / "gate")[1]
    path = tmp_path / "gate" / segment.file
    good = path.read_bytes()
    for bad in (b"", good[:-7], good[188 * 40 :], good[: 188 * 20] + good[188 * 25 :], b"x" * 188, good[: 188 * 2]):
        path.write_bytes(bad)
        with pytest.raises(NoVideo):
            read(path, name, segment, COPY)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(path, name, segment, COPY)


def test_any_bytes_are_units_or_none() -> None:
    good = films.film(1)
    for at in range(0, 188 * 12, 5):
        damaged = bytearray(good)
        damaged[at] ^= 0xFF
        try:
            units(bytes(damaged))
        except NoVideo:
            continue


def test_pictures_are_encoded_where_there_are_no_packets(tmp_path: Path) -> None:
    ring: Any = films.ring(tmp_path / "gate")
    import cv2

    for number in range(45):
        jpeg = cv2.imencode(".jpg", films.picture(number)[:, :, ::-1])[1].tobytes()
        ring.picture(jpeg, films.BEGIN + number * 10**9 // 15, 320, 240)
    ring.close()
    video = Video(to="kvs", size="120p", rate=5)
    made = [read(tmp_path / "gate" / s.file, name, s, video) for name, s in segments(tmp_path / "gate")]
    assert [(f.codec, f.width, f.height, f.shuffled) for f in made] == [("h264", 160, 120, False)] * 3
    assert [len(f.frames) for f in made] == [5, 5, 5]
    assert all(f.frames[0].key for f in made)
    assert len(films.decoded(b"".join(clip(made, 4 * 10**9)))) == 15
    again = Video(to="kvs", encode="h264", size="120p")
    films.ring(tmp_path / "film", films.film(2)).close()
    found = [read(tmp_path / "film" / s.file, n, s, again) for n, s in segments(tmp_path / "film")]
    assert sum(len(f.frames) for f in found) == 30
    assert found[0].begin == films.BEGIN
    empty = Segment(file="x.mjpg", form="jpegs", codec="mjpeg", width=1, height=1, begin=0, end=0, bytes=0)
    (tmp_path / "x.mjpg").write_bytes(b"")
    with pytest.raises(NoVideo):
        read(tmp_path / "x.mjpg", "x", empty, video)
