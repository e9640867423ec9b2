"""The cloud's consumer: streams and clips to results in the edge's form, each fragment once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.models.default import default_model
from edgeloop_tools.bench.suite import load
from edgeloop_tools.cli import main
from edgeloop_tools.cloud import infer
from edgeloop_tools.cloud.streams import Streams
from video_upload.clips.mp4 import clip
from video_upload.kvs import matroska
from video_upload.packets.fragment import Fragment

films: Any = load(Path(__file__).parents[2] / "video_upload" / "films.py")
plant: Any = load(Path(__file__).parents[2] / "video_upload" / "plant.py")
MODEL = default_model("visual_inspection")


@pytest.fixture
def fragments(tmp_path: Path) -> list[Fragment]:
    from edgeloop.ring import read as segments
    from edgeloop.video.settings import Video
    from video_upload.packets.reading import read

    films.ring(tmp_path / "ring", films.film(4)).close()
    return [read(tmp_path / "ring" / s.file, n, s, Video()) for n, s in segments(tmp_path / "ring")]


@pytest.fixture
def kvs(tmp_path: Path, fragments: list[Fragment], monkeypatch: pytest.MonkeyPatch) -> Iterator[Streams]:
    """With a stream of four fragments."""
    from edgeloop_tools.cloud.streams import Stored

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setattr(infer, "QUIET", 0.5)
    with Streams(tmp_path / "kvs") as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", made.url)
        stream = made.create("gate")
        for number, fragment in enumerate(fragments):
            head, body = matroska.header(fragment), matroska.cluster(fragment)
            path = tmp_path / f"{number}.mkv"
            path.write_bytes(head + body)
            sizes = len(head), len(fragment.frames), len(body)
            stream.fragments.append(Stored(f"{number:020d}", matroska.timecode(fragment), 0, path, *sizes))
        yield made


def results(out: Path) -> list[Any]:
    lines = [line for path in sorted(out.rglob("*.jsonl")) for line in path.read_text().splitlines()]
    return [result for line in lines for result in json.loads(line)["results"]]


def test_a_stream_is_inferred_once(tmp_path: Path, kvs: Streams, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cloud", "infer", "--stream", "gate", "--model", str(MODEL), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    found = results(tmp_path / "out")
    times = [result["time"] for result in found]
    assert times == sorted(times)
    assert len(times) == 60
    assert max(abs(t - films.BEGIN - round(k * 1e9 / 15)) for k, t in enumerate(times)) <= 10**6
    assert {result["model"]["name"] for result in found} == {"visual_inspection"}
    assert {path.parent.name for path in (tmp_path / "out").rglob("*.jsonl")} == {"date=2026-02-25"}
    assert main(words) == 0
    assert "0 fragments" in capsys.readouterr().out.splitlines()[-1]
    assert len(results(tmp_path / "out")) == 60


def test_what_broke_off_goes_on(tmp_path: Path, kvs: Streams) -> None:
    judge, out = infer.package(MODEL), tmp_path / "out"  # type: ignore[arg-type]
    seen: list[int] = []

    class Dying:
        name, version = judge.name, judge.version

        def __call__(self, image: Any, criteria: Any) -> Any:
            if len(seen) == 20:
                raise KeyboardInterrupt
            seen.append(1)
            return judge(image, criteria)

    with pytest.raises(KeyboardInterrupt):
        infer.Consumer(Dying(), str(out), "plant", "gate").run(infer.stream("gate", False))
    assert len(results(out)) == 15
    infer.Consumer(judge, str(out), "plant", "gate", rate=5).run(infer.stream("gate", False))
    assert len(results(out)) == 15 + 3 * 5


def test_clips_and_an_endpoint(tmp_path: Path, fragments: list[Fragment]) -> None:
    behind = plant.Model()
    behind.say = lambda id: {"label": "cat", "confidence": 0.7, "model": {"name": "big", "version": "3"}}
    folder = tmp_path / "up" / "clips" / "site=plant" / "date=2026-02-25"
    folder.mkdir(parents=True)
    (folder / "core7_gate_1.mp4").write_bytes(b"".join(clip(fragments, 4 * NS)))
    about = {"kind": "clips", "time": films.BEGIN, "document": {"camera": "gate", "begin": films.BEGIN}}
    (folder / "core7_gate_1.mp4.json").write_text(json.dumps(about))
    (folder / "core7_gate_2.mp4").write_bytes(b"no film")
    said: list[str] = []
    try:
        judge = infer.endpoint(behind.url)
        done = infer.Consumer(judge, str(tmp_path / "out"), "plant", "", rate=2).run(
            infer.clips(str(tmp_path / "up")), said.append
        )
        behind.say = lambda id: 503
        with pytest.raises(EdgeloopError, match="does not answer"):
            infer.Consumer(judge, str(tmp_path / "again"), "plant", "").run(infer.clips(str(tmp_path / "up")))
    finally:
        behind.close()
    assert (done.fragments, done.failed, done.frames) == (2, 1, 8)
    assert "cannot be decoded" in said[0]
    found = results(tmp_path / "out")
    assert {(r["camera"], r["verdict"], r["label"]) for r in found} == {("gate", "fail", "cat")}


def test_a_stream_that_is_not_there(tmp_path: Path, kvs: Streams, capsys: pytest.CaptureFixture[str]) -> None:
    kvs.faults.status = lambda operation: (404, "ResourceNotFoundException")
    words = ["cloud", "infer", "--stream", "none", "--model", str(MODEL), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "the stream cannot be read (none)" in capsys.readouterr().err
