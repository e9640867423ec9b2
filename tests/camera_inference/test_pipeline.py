"""Sources, queues and sessions without a bus."""

from __future__ import annotations

import os
import resource
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from camera_inference.configuration import Camera, Configuration, area
from camera_inference.documents import Result
from camera_inference.frame import Every, Frame, Latest
from camera_inference.hard_examples import HardExamples
from camera_inference.inference import Session
from camera_inference.pictures import decode
from camera_inference.pipeline import STOPPED, CameraPipeline
from camera_inference.prepare import Preparation, cut_of
from camera_inference.sources import Registry
from camera_inference.sources.simulator import WENT_BY
from edgeloop import clock
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.models.active import Loaded
from edgeloop.models.errors import ModelError
from edgeloop.models.package import unpack
from edgeloop.models.runners import open_runner
from edgeloop.queue import QueueReader, UploadQueue
from edgeloop_tools.build import tables

FOLDER = Path(__file__).parents[2] / "components" / "camera_inference" / "sources"
TYPES = ("simulator", "folder", "file", "stream", "snapshot")
ROOT = "io.edgeloop.CameraInference"
ANY = {"dark": 0, "bright": 1, "contrast": 0, "smallest": 1, "usual": False}
"""Every picture is one."""


class Around:
    """What a pipeline needs, remembered."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.problems: dict[str, str] = {}
        self.published: list[tuple[str, Mapping[str, Any]]] = []
        self.kept: list[Result] = []
        self.errors: list[Exception] = []
        self.sights: list[tuple[str, str]] = []

    def problem(self, key: str, line: str) -> None:
        self.problems[key] = line

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def log(self, line: str, **fields: Any) -> None:
        pass

    def unexpected(self, error: Exception) -> None:
        self.errors.append(error)

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        self.published.append((topic, document))
        return True

    def sight(self, id: str, asset: str, reason: str) -> None:
        self.sights.append((id, reason))

    def keep(self, camera: Camera, frame: Frame, result: Result) -> None:
        self.kept.append(result)


class Models:
    """Whatever model the test sets."""

    def __init__(self, loaded: Loaded | None) -> None:
        self.current = loaded
        self.uses = self.failures = 0

    def used(self, loaded: Loaded, count: int = 1, said: str = "") -> None:
        self.uses += count

    def failed(self, loaded: Loaded, count: int = 1) -> None:
        self.failures += count


@pytest.fixture
def load(tmp_path: Path, make_model: Callable[..., str]) -> Callable[..., Loaded]:
    def make(version: str = "1.0.0", **size: int) -> Loaded:
        archive = tmp_path / f"{version}.tar"
        make_model(archive, version=version, **size)
        package = unpack(archive, tmp_path / "models")
        variant = package.manifest.variants[0]
        return Loaded(package.manifest, 0, open_runner(package, variant), package.digest, 1, "active")

    return make


class Line:
    """One pipeline and its session, collected until they close."""

    def __init__(self, folder: Path, models: Models, **camera: Any) -> None:
        self.around, self.models = Around(), models
        self.session = Session("m", models, self.around.unexpected)
        configured = convert({"model": "brightness", **camera}, Camera)
        place = Registry(pytest.fail).find(configured.uri, "uri")
        self.pipeline = CameraPipeline("gate", configured, place, self.session, folder, self.around)
        self.results: list[Result] = []

    def __enter__(self) -> Line:
        self.session.start()
        self.pipeline.start()
        return self

    def until(self, true: Callable[[], object], seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, (self.around.counts, self.around.problems, self.around.errors)
            threading.Event().wait(min(0.02, self.pipeline.due()))
            self.pipeline.tick()
            found = self.pipeline.collect()
            self.results += found
            self.pipeline.announced([r.part for r in found])

    def __exit__(self, *_: object) -> None:
        self.pipeline.end()
        self.pipeline.close()
        self.results += self.pipeline.collect()
        self.pipeline.release()
        self.session.close()
        assert self.around.errors == []


def test_the_newest_frame_is_the_one_that_is_taken() -> None:
    inbox = Latest()
    frames = [Frame("gate", k, k, None) for k in range(3)]
    assert [inbox.put(frame) for frame in frames] == [None, frames[0], frames[1]]
    assert inbox.take() is frames[2]
    inbox.close()
    assert inbox.take() is None


def test_a_full_queue_gives_the_new_frame_back() -> None:
    inbox = Every(2)
    frames = [Frame("gate", k, k, None) for k in range(3)]
    assert [inbox.put(frame) for frame in frames] == [None, None, frames[2]]
    assert inbox.take() is frames[0]
    assert inbox.room()


def test_a_swap_loses_no_frame_and_judges_each_with_one_model(tmp_path: Path, load: Any) -> None:
    first, second = load("1.0.0", width=320, height=240), load("2.0.0", width=64, height=48)
    models = Models(first)
    with Line(tmp_path, models, uri="simulator:?rate=40", policy="every", deadline="60 s", queue=256) as line:
        for k in range(12):
            line.until(lambda k=k: len(line.results) >= 6 * (k + 1))
            models.current = (second, first)[k % 2]
    judged = [r for r in line.results if r.verdict != "unknown"]
    assert {r.reason for r in line.results if r.verdict == "unknown"} <= {STOPPED, WENT_BY}
    assert {r.model.version for r in judged} == {"1.0.0", "2.0.0"}
    numbers = [int(r.part.rpartition("-")[2]) for r in line.results]
    assert sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))
    assert line.around.counts["inferred.gate"] == models.uses >= len(judged) >= 72


def test_too_late_is_unknown_once_and_fires_the_safe_action(tmp_path: Path, load: Any) -> None:
    loaded = load("1.0.0", width=320, height=240)

    class Slow:
        inputs, outputs = loaded.runner.inputs, loaded.runner.outputs

        def run(self, inputs: Any) -> list[Any]:
            time.sleep(0.2)
            return list(loaded.runner.run(inputs))

        def close(self) -> None:
            pass

    slow = replace(loaded, runner=Slow())
    act = {"source": "press1", "target": "stop"}
    with Line(
        tmp_path, Models(slow), uri="simulator:?rate=30", policy="every", deadline="100 ms", queue=2, safe=act
    ) as line:
        line.until(lambda: len(line.results) > 20)
    assert {r.verdict for r in line.results} == {"unknown"}
    assert len({r.part for r in line.results}) == len(line.results)
    reasons = {r.reason for r in line.results}
    assert {"no verdict within 100 ms", "too many parts wait"} <= reasons
    late = [r for r in line.results if r.reason.startswith("no verdict")]
    assert all(100 <= r.latency_ms < 15_000 for r in late)
    actions = [d for topic, d in line.around.published if topic == "edgeloop/actions/press1"]
    assert [d["cause"]["part"] for d in actions] == [r.part for r in line.results]


def test_a_model_that_fails_is_told_and_recovers(tmp_path: Path, load: Any) -> None:
    good = load("1.0.0", width=320, height=240)

    class Broken:
        inputs, outputs = good.runner.inputs, good.runner.outputs

        def run(self, inputs: Any) -> list[Any]:
            raise ModelError("the model failed", why="no reason")

        def close(self) -> None:
            pass

    models = Models(replace(good, runner=Broken()))
    with Line(tmp_path, models, uri="simulator:?rate=40", policy="every", deadline="3 s") as line:
        line.until(lambda: models.failures >= 3)
        assert "the model failed" in line.around.problems["camera.gate.inference"]
        models.current = good
        line.until(lambda: models.uses >= 3)
        assert line.around.problems == {}
    reasons = {r.reason for r in line.results if r.verdict == "unknown"}
    late = {"the camera was stopped", "it went by while nobody looked"}
    assert reasons - late == {"the model failed: no reason"}


def test_a_folder_is_taken_once(tmp_path: Path, load: Any) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for k in range(5):
        cv2.imwrite(str(images / f"{k}.png"), np.full((12, 16, 3), 40 * k, np.uint8))
    models = Models(load("1.0.0"))
    uri = f"{images}?poll=20 ms"
    with Line(tmp_path, models, uri=uri, policy="every", queue=1, deadline="5 s", pictures=ANY) as line:
        line.until(lambda: len(line.results) >= 5)
    assert sorted(r.part for r in line.results) == [f"{k}.png" for k in range(5)]
    assert {r.part: r.verdict for r in line.results}["4.png"] == "fail"
    cv2.imwrite(str(images / "new.png"), np.zeros((12, 16, 3), np.uint8))
    with Line(tmp_path, models, uri=uri, policy="every", queue=1, deadline="5 s", pictures=ANY) as line:
        line.until(lambda: line.results)
    assert [r.part for r in line.results] == ["new.png"]


def _png_header(width: int, height: int) -> bytes:
    """A whole PNG that says how large it is, and has next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes(64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_png_of_20000_by_20000_a_loop_of_links_and_a_fifo_in_a_folder_cost_one_part_each(
    tmp_path: Path, load: Any
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "huge.png").write_bytes(_png_header(20_000, 20_000))
    (images / "loop.png").symlink_to(images / "loop.png")
    os.mkfifo(images / "fifo.png")
    (images / "folder.png").mkdir()
    with (images / "endless.png").open("wb") as file:
        file.truncate(1 << 40)
    cv2.imwrite(str(images / "good.png"), np.full((12, 16, 3), 160, np.uint8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Line(tmp_path, Models(load("1.0.0")), uri=f"{images}?poll=20 ms", policy="every", deadline="5 s",
              pictures=ANY) as line:  # fmt: skip
        line.until(lambda: len(line.results) >= 6)
    assert {r.part: r.verdict for r in line.results} == {
        "huge.png": "unknown", "loop.png": "unknown", "fifo.png": "unknown", "folder.png": "unknown",
        "endless.png": "unknown", "good.png": "fail",
    }  # fmt: skip
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize(
    "region", ["1.0 0 0.001 1", "0 1 1 0.001", "nan 0 1 1", "0 0 nan 1", "0 0 inf 1", "0 0 1e-9 0"]
)
def test_a_region_that_holds_no_pixel_is_refused(region: str) -> None:
    with pytest.raises(ConfigurationError, match="region"):
        convert({"uri": "/images", "region": region}, Camera)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_any_region_that_is_taken_holds_a_pixel(numbers: list[float]) -> None:
    try:
        found = area(" ".join(map(str, numbers)))
    except ValueError:
        return
    cut, left, top = cut_of(np.zeros((48, 64, 3), np.uint8), found)
    assert min(cut.shape[:2]) >= 1
    assert 0 <= left < 64
    assert 0 <= top < 48


def test_an_error_that_nobody_foresaw_costs_one_verdict(
    tmp_path: Path, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, frame: Frame, out: object) -> None:
        raise cv2.error("(-215:Assertion failed) !ssize.empty()")

    monkeypatch.setattr(Preparation, "fill", broken)
    with Line(tmp_path, Models(load("1.0.0")), uri="simulator:?rate=50", policy="every", pictures=ANY) as line:
        line.until(lambda: len(line.results) >= 3)
    assert any("ssize" in result.reason for result in line.results)


def test_a_video_is_watched(tmp_path: Path, load: Any) -> None:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (64, 48))
    for k in range(30):
        writer.write(np.full((48, 64, 3), 8 * k, np.uint8))
    writer.release()
    with Line(tmp_path, Models(load("1.0.0")), uri=f"{clip}?loop=true", region="0 0 0.5 1", pictures=ANY) as line:
        line.until(lambda: {r.verdict for r in line.results} == {"pass", "fail"})
    assert line.around.counts["frames.gate"] >= 10


def test_parts_that_went_by_are_told(tmp_path: Path, load: Any) -> None:
    models = Models(load("1.0.0", width=320, height=240))
    for _ in range(2):
        with Line(tmp_path, models, uri="simulator:?rate=50", policy="every", deadline="2 s") as line:
            line.until(lambda: sum(r.verdict != "unknown" for r in line.results) > 5)
        time.sleep(0.7)
    reasons = {r.reason for r in line.results if r.verdict == "unknown"}
    assert reasons - {STOPPED} == {WENT_BY}


def test_examples_keep_to_their_budget(tmp_path: Path) -> None:
    around, queue = Around(), UploadQueue(tmp_path, ROOT)
    examples = HardExamples(tmp_path, queue, around)
    examples.start()
    camera = convert({"uri": "/x", "policy": "every", "examples": {"below": 0.7, "most": 2, "random": "0%"}}, Camera)
    frame = Frame("gate", 5, 5, np.zeros((48, 64, 3), np.uint8))
    for confidence in (0.9, 0.6, 0.5, 0.1):
        told = Result(
            camera="gate", time=int(confidence * 10), decided=2, verdict="fail", part="p", confidence=confidence
        )
        examples.offer(camera, frame, told)
    examples.close()
    reader = QueueReader(tmp_path, ROOT)
    kept = [reader.describe(entry)[1].document["confidence"] for entry in reader.entries()]
    assert kept == [0.6, 0.5]
    assert len(list((tmp_path / "evidence" / "gate").glob("*.jpg"))) == 4
    queue.close()


@pytest.mark.parametrize("uri", ["gopher://x", "simulator:?sed=7", "simulator:?rate=fast", "folder:/x?loop=maybe"])
def test_wrong_uris_have_a_line(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="cameras.gate.uri"):
        Registry(pytest.fail).find(uri, "cameras.gate.uri")


def sample(name: str) -> Iterator[Camera]:
    text = (FOLDER / name / "sample.yaml").read_text()
    return iter(convert(yaml.safe_load(text), Configuration).cameras.values())


@pytest.mark.parametrize("name", TYPES)
def test_samples_and_tables_are_those_of_the_types(name: str) -> None:
    kinds = {type(camera).__name__: Registry(pytest.fail).find(camera.uri, "uri").kind for camera in sample(name)}
    (kind,) = kinds.values()
    assert kind.__module__ == f"camera_inference.sources.{name}"
    text = (FOLDER / name / "README.md").read_text()
    table = text.partition(tables.BEGIN)[2].partition(tables.END)[0].strip()
    wanted = tables.rows(kind.options).strip() if kind.options.__struct_fields__ else "No options."
    assert table == wanted, f"replace the table of sources/{name}/README.md"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([".png", ".jpg", ".bmp"]), st.floats(0, 1), st.integers(0, 255), st.booleans())
def test_a_damaged_image_is_an_image_or_one_line(form: str, where: float, value: int, cut: bool) -> None:
    data = bytearray(cv2.imencode(form, np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3))[1].tobytes())
    at = int(where * (len(data) - 1))
    if cut:
        del data[at:]
    else:
        data[at] = value
    try:
        image = decode(bytes(data), "a file")
    except EdgeloopError as error:
        line = str(error)
    else:
        line = ""
        assert image.ndim == 3
        assert not cut or form == ".bmp"
    assert "\n" not in line


@given(st.binary(max_size=200))
def test_noise_is_no_image(data: bytes) -> None:
    with pytest.raises(EdgeloopError):
        decode(data, "a file")


@pytest.mark.parametrize("step", [-86_400 * NS, 86_400 * NS])
def test_a_clock_that_is_set_neither_stops_nor_hurries_a_simulated_conveyor(
    tmp_path: Path, load: Callable[..., Loaded], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    real = clock.now
    with Line(tmp_path, Models(load()), uri="simulator:?rate=20", policy="every", deadline="5 s") as line:
        line.until(lambda: len(line.results) > 3)
        monkeypatch.setattr(clock, "now", lambda: real() + step)
        known = len(line.results)
        line.until(lambda: len(line.results) > known + 20)
    numbers = sorted(int(result.part.rpartition("-")[2]) for result in line.results)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "one word for each part that went by"
    assert len(numbers) < 2000, "nor for the parts of a day that was none"
