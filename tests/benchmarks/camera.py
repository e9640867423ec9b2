"""Frames a second through capture → preparation → inference → verdict, beside the bare onnxruntime session.

python tests/benchmarks/camera.py
"""

from __future__ import annotations

import importlib
import json
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from camera_inference.configuration import Camera as CameraConfiguration
from camera_inference.frame import Colour, Frame, Pixels
from camera_inference.inference import Session
from camera_inference.pipeline import CameraPipeline
from camera_inference.sources import Place
from camera_inference.sources.base import Nothing, Source
from edgeloop import optional
from edgeloop.models.active import Loaded
from edgeloop.models.default import default_model
from edgeloop.models.package import Package, unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop.sim.conveyor import Camera, Conveyor

EXTRAS = ("vision",)
SECONDS = 1.0
ROUNDS = 5
FRAMES = 32
THREADS = 1


class Always:
    """One model that never changes."""

    def __init__(self, loaded: Loaded) -> None:
        self.current: Loaded | None = loaded

    def used(self, loaded: Loaded, count: int = 1) -> None:
        pass

    def failed(self, loaded: Loaded, count: int = 1) -> None:
        raise RuntimeError("the model failed")


class Quiet:
    """The rest of the component."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def problem(self, key: str, line: str) -> None:
        raise RuntimeError(f"{key}: {line}")

    def clear(self, key: str) -> None:
        pass

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def log(self, line: str, **fields: Any) -> None:
        pass

    def unexpected(self, error: Exception) -> None:
        raise error

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return True

    def sight(self, id: str, asset: str, reason: str) -> None:
        pass

    def keep(self, camera: CameraConfiguration, frame: Frame, result: object) -> None:
        pass


def source(frames: list[Pixels], colour: Colour) -> type[Source[Nothing]]:
    """A camera that has a frame whenever there is room for one."""

    class Ready(Source[Nothing]):
        def run(self) -> None:
            number = 0
            while self.outlet.room():
                self.outlet.put(frames[number % len(frames)], colour)
                number += 1

    return Ready


def bare(package: Package, frames: list[np.ndarray[Any, Any]], seconds: float) -> float:
    """Runs a second of the session alone, with the same options."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    variant = package.manifest.variants[0]
    session = ort.InferenceSession(str(package.path(variant)), options, providers=["CPUExecutionProvider"])
    name = package.manifest.inputs[0].name
    session.run(None, {name: frames[0]})
    began, runs = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        session.run(None, {name: frames[runs % len(frames)]})
        runs += 1
    return runs / spent


def pipeline(loaded: Loaded, frames: list[Pixels], colour: Colour, seconds: float, folder: Path) -> dict[str, float]:
    """A camera with parts, verdicts journalled; collected as the component does."""
    around = Quiet()
    session = Session("camera", Always(loaded), around.unexpected)
    configuration = CameraConfiguration(uri="ready:", policy="every", queue=2)
    place = Place(source(frames, colour), "", Nothing())
    pipeline = CameraPipeline("gate", configuration, place, session, folder, around)
    done = threading.Event()
    latencies: list[float] = []
    session.start()
    pipeline.start()
    began, first, results = time.perf_counter(), 0, 0
    warm = 0.0
    while (spent := time.perf_counter() - began) < seconds + 0.3:
        done.wait(0.05)
        pipeline.tick()
        found = pipeline.collect()
        pipeline.announced([result.part for result in found])
        results += len(found)
        latencies += [result.latency_ms for result in found]
        if not warm and spent > 0.3:
            warm, first = time.perf_counter(), results
    rate = (results - first) / (time.perf_counter() - warm)
    pipeline.end()
    pipeline.close()
    pipeline.release()
    session.close()
    unknown = around.counts.get("unknown.gate", 0)
    return {"fps": rate, "latency_ms_p50": median(latencies), "unknown": float(max(0, unknown - 8))}


def run(seconds: float = SECONDS, rounds: int = ROUNDS) -> dict[str, Any]:
    for package, purpose in (("onnxruntime", "measuring models"), ("cv2", "measuring cameras")):
        optional.load(package, purpose)
    archive = default_model("visual_inspection")
    if archive is None:
        raise FileNotFoundError("components/models/visual_inspection/visual_inspection.tar")
    eye = Camera(Conveyor("gate", 7))
    images = [eye.image(number) for number in range(FRAMES)]
    large = [np.ascontiguousarray(image.repeat(3, 0).repeat(4, 1)[:, :, ::-1]) for image in images]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = unpack(archive, folder / "models")
        variant = package.manifest.variants[0]
        runner = open_runner(package, variant, Options(threads=THREADS))
        loaded = Loaded(package.manifest, 0, runner, package.digest, 1, "default")
        figures: dict[str, Any] = {
            "model": f"{package.manifest.name} {package.manifest.version}, input (240, 320, 3) uint8, {THREADS} thread",
        }
        cases: dict[str, tuple[list[Pixels], Colour]] = {
            "320 x 240": (images, "rgb"),
            "1280 x 720, resized": (large, "bgr"),
        }
        for title, (frames, colour) in cases.items():
            found = []
            for number in range(rounds):
                alone = bare(package, [image[None] for image in images], seconds)
                work = folder / f"{title.partition(' ')[0]}-{number}"
                work.mkdir()
                found.append((alone, pipeline(loaded, frames, colour, seconds, work)))
            figures[title] = {
                "bare_fps": median(alone for alone, _ in found),
                "pipeline_fps": median(got["fps"] for _, got in found),
                "ratio": median(got["fps"] / alone for alone, got in found),
                "latency_ms_p50": median(got["latency_ms_p50"] for _, got in found),
                "unknown": sum(got["unknown"] for _, got in found),
            }
        runner.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
