"""Video up and second opinions: what arrives, what it costs, how late a verdict is; on a local Kinesis Video Streams.

python tests/benchmarks/video.py
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from camera_inference.frame import Frame
from camera_inference.prepare import Preparation
from camera_inference.ring import Ring
from edgeloop import topics
from edgeloop.clock import NS
from edgeloop.models.default import default_model
from edgeloop.models.package import unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop.opinions.messages import OWNER
from edgeloop.queue import QueueReader
from edgeloop.ring import Segment
from edgeloop.ring import read as segments
from edgeloop.video.settings import Video
from edgeloop_tools.bench.suite import load
from edgeloop_tools.cloud import infer
from edgeloop_tools.cloud.streams import Streams
from edgeloop_tools.extras import need
from video_upload.declaration import DECLARATION as VIDEO
from video_upload.declaration import NAME
from video_upload.packets.reading import read

TESTS = Path(__file__).resolve().parents[1] / "video_upload"
SECONDS = float(os.environ.get("EDGELOOP_VIDEO_SECONDS", "60"))
CUTS_A_SECOND = 20 / 600
WIDTH, HEIGHT, RATE = 1920, 1080, 30
AWS = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
BELT = {"uri": "simulator:?seed=7&rate=20&defective=0.3", "policy": "every", "deadline": "3 s"}
ASKING = {"when": "confidence < 2", "random": "0%", "deadline": "1 s", "crop": False,
          "most": {"pictures": "1000000/d", "bytes": "100 GB/d"}}  # fmt: skip


@contextmanager
def plant() -> Iterator[Any]:
    """A bus and processes of both components."""
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-video-"))
    made = load(TESTS / "plant.py").Plant(folder)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder, ignore_errors=True)


def film(seconds: int) -> bytes:
    """1080p30 H.264 of about 4 Mbit/s, a key frame each second."""
    import av

    made = io.BytesIO()
    rng = np.random.default_rng(3)
    base = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8 + 200, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(made, "w", format="mpegts") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.options = {"g": str(RATE), "bf": "0", "preset": "ultrafast", "maxrate": "4M", "bufsize": "4M"}
        for number in range(seconds * RATE):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(base[:, number * 4 : number * 4 + WIDTH]), "rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return made.getvalue()


class Camera:
    """Keeps a ring going in real time, as CameraInference does: segments of a film, again and again, with new times."""

    def __init__(self, data: bytes, folder: Path, budget: int = 64 << 20) -> None:
        films = load(TESTS / "films.py")
        kept = Path(tempfile.mkdtemp(prefix="edgeloop-film-"))
        ring: Ring = films.ring(kept / "film", data)
        ring.close()
        self._parts = [(s, (kept / "film" / s.file).read_bytes()) for _, s in segments(kept / "film")]
        self._frames = [len(read(kept / "film" / s.file, n, s, Video()).frames) for n, s in segments(kept / "film")]
        shutil.rmtree(kept)
        self._folder, self._budget = folder, budget
        folder.mkdir(parents=True, exist_ok=True)
        self.written: dict[int, int] = {}
        """Frames by begin, ms."""
        self._names: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        number, begin = 0, time.time_ns() // 10**6 * 10**6
        due = time.monotonic()
        while not self._stop.is_set():
            segment, data = self._parts[number % len(self._parts)]
            frames = self._frames[number % len(self._parts)]
            span = frames * NS // RATE
            due += span / NS
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            name = f"{begin // 10**6:016d}"
            about = msgspec.structs.replace(segment, file=f"{name}.ts", begin=begin, end=begin + span - NS // RATE)
            self._put(name, about, data)
            self.written[begin // 10**6] = frames
            number, begin = number + 1, begin + span

    def _put(self, name: str, about: Segment, data: bytes) -> None:
        (self._folder / about.file).write_bytes(data)
        head = self._folder / f"{name}.new"
        head.write_bytes(msgspec.json.encode(about))
        head.rename(self._folder / f"{name}.json")
        self._names.append(name)
        while len(self._names) * len(data) > self._budget:
            old = self._names.pop(0)
            for end in ("json", "ts"):
                (self._folder / f"{old}.{end}").unlink(missing_ok=True)


def used(pid: int) -> float:
    """s of CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MB, proportional."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def until(true: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def pass_through(data: bytes) -> dict[str, float]:
    """1080p30 to the endpoint with disconnections, a kill, refused tokens; and a clip of a second camera meanwhile."""
    rng = random.Random(11)
    with plant() as line, Streams(line.root / "kvs") as kvs:
        camera = Camera(data, line.root / "work" / OWNER / "video" / "gate")
        door = Camera(data, line.root / "work" / OWNER / "video" / "door")
        kvs.faults.cut = lambda count: rng.random() < CUTS_A_SECOND
        video = {"to": "kvs", "stream": "gate", "when": "always"}
        clip = {"to": "s3", "when": "events", "before": "3 s", "after": "3 s"}
        line.configure(VIDEO, cameras={"gate": {"video": video}, "door": {"video": clip}})
        environment = {**AWS, "AWS_ENDPOINT_URL_KINESIS_VIDEO": kvs.url}
        (process,) = line.start(VIDEO, **environment)
        line.wait(lambda: line.health(VIDEO))
        camera.start()
        door.start()
        begun = time.monotonic()
        start, cpu = used(process.pid), 0.0
        while time.monotonic() - begun < SECONDS * 0.4:
            time.sleep(0.2)
        cpu += used(process.pid) - start
        os.kill(process.pid, signal.SIGKILL)
        heard = len(line.documents(topics.health(NAME)))
        (process,) = line.start(VIDEO, **environment)
        line.wait(lambda: len(line.documents(topics.health(NAME))) > heard + 1)
        expired = iter([(403, "ExpiredTokenException")] * 3)
        kvs.faults.status = lambda operation: next(expired, (200, "")) if operation == "putMedia" else (200, "")
        counted, start = time.monotonic(), used(process.pid)
        moment = time.time_ns()
        line.bus.publish_document(topics.results(OWNER), {
            "results": [{"camera": "door", "time": moment, "verdict": "fail", "part": "p1", "confidence": 0.9}]
        })  # fmt: skip
        tail = time.monotonic() + 3.0
        reader = QueueReader(line.root, NAME)
        line.wait(lambda: any(entry.kind == "clips" for entry in reader.entries()), 90)
        late = time.monotonic() - tail
        path, about = reader.describe(next(e for e in reader.entries() if e.kind == "clips"))
        while time.monotonic() - begun < SECONDS:
            time.sleep(0.2)
        share = (used(process.pid) - start) / (time.monotonic() - counted)
        held = memory(process.pid)
        camera.stop()
        door.stop()
        until(lambda: set(camera.written) <= {f.producer for f in kvs.fragments("gate")}, 60)
        arrived = {fragment.producer: fragment for fragment in kvs.fragments("gate")}
        exact = all(arrived[at].frames == frames for at, frames in camera.written.items() if at in arrived)
        whole = sum(f.frames for f in arrived.values())
        return {
            "seconds": SECONDS, "frames": sum(camera.written.values()), "arrived": whole,
            "missing": sum(n for at, n in camera.written.items() if at not in arrived),
            "times_wrong": len(set(arrived) - set(camera.written)) + (not exact),
            "sent_twice": len(kvs.fragments("gate")) - len(arrived), "connections": kvs.connections,
            "refused": len(kvs.malformed), "cpu_percent": round(100 * share, 2), "memory_mb": round(held, 1),
            "clip_before_s": round((moment - about.document["begin"]) / NS, 2), "clip_late_s": round(late, 2),
            "clip_bytes": path.stat().st_size,
        }  # fmt: skip


def opinions() -> dict[str, float]:
    """What a second opinion adds, and that each part has one verdict, in time, whatever the endpoint does."""
    rng = random.Random(5)
    found: dict[str, float] = {}
    model = load(TESTS / "plant.py").Model()
    try:
        with plant() as line:
            line.camera(**BELT)
            line.start()
            line.wait(lambda: len(line.results()) >= 120, 120)
            plain = statistics.median(r["latency_ms"] for r in line.results()[20:])
        with plant() as line:
            model.pause = lambda: 0.08
            model.say = lambda id: {"label": line.truth().get(id, "good"), "confidence": 0.99}
            line.camera(**BELT, opinion={"endpoint": model.url, **ASKING})
            line.start()
            line.wait(lambda: sum(r.get("decided_by") == "cloud" for r in line.results()) >= 120, 180)
            asked = [r["latency_ms"] for r in line.results() if r.get("decided_by") == "cloud"]
            found["added_ms"] = round(statistics.median(asked[20:]) - plain - 80.0, 2)
            truth = line.truth()
            own = [(r["edge"]["verdict"] == "pass") == (truth[r["part"]] == "good") for r in line.results()
                   if r.get("edge") and r["part"] in truth]  # fmt: skip
            found["edge_alone_right"] = round(sum(own) / len(own), 4)
            found["with_cloud_right"] = _right(line)
        with plant() as line:
            def pause() -> float:
                return 2.0 if rng.random() < 0.05 else 0.02

            model.pause = pause
            model.say = lambda id: 503 if rng.random() < 0.05 else {"label": "good", "confidence": 0.99}
            line.camera(**BELT, opinion={"endpoint": model.url, **ASKING})
            line.start()
            line.wait(lambda: len(line.results()) >= 500, 240)
            parts = [r["part"] for r in line.results()]
            found["parts"] = len(parts)
            found["verdicts_twice"] = len(parts) - len(set(parts))
            found["too_late"] = sum(r["latency_ms"] > 3000 for r in line.results())
            found["unknown"] = sum(r["verdict"] == "unknown" for r in line.results())
    finally:
        model.close()
    fast = {**BELT, "uri": "simulator:?seed=7&rate=60&defective=0.3"}
    pace = {}
    for name, more in (("none", {}), ("gone", {"opinion": {"endpoint": "http://127.0.0.1:9/", **ASKING}})):
        with plant() as line:
            line.camera(**fast, **more)
            line.start()
            line.wait(lambda: sum(r["verdict"] != "unknown" for r in line.results()) >= 50, 120)
            begun, before = time.monotonic(), sum(r["verdict"] != "unknown" for r in line.results())
            time.sleep(10)
            pace[name] = (sum(r["verdict"] != "unknown" for r in line.results()) - before) / (time.monotonic() - begun)
    found["parts_a_second"] = round(pace["none"], 1)
    found["pace_with_endpoint_gone"] = round(pace["gone"] / pace["none"], 3)
    return found


def _right(line: Any) -> float:
    truth = line.truth()
    judged = [r for r in line.results() if r["part"] in truth and r.get("decided_by") == "cloud"]
    return round(sum((r["verdict"] == "pass") == (truth[r["part"]] == "good") for r in judged) / len(judged), 4)


def encoding() -> dict[str, float]:
    """CPU of one camera of 1080p15 without packets, encoded to 640 lines... of width: what fits one core."""
    import cv2

    folder = Path(tempfile.mkdtemp(prefix="edgeloop-encode-"))
    ring = Ring(folder / "gate", 256 << 20, folder / "nowhere")
    rng = np.random.default_rng(3)
    base = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8 + 30, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    for number in range(45):
        picture = np.ascontiguousarray(base[:, number * 4 : number * 4 + WIDTH])
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        ring.picture(jpeg, NS * 1_700_000_000 + number * NS // 15, WIDTH, HEIGHT)
    ring.close()
    video = Video(size="640x360")
    begun = time.process_time()
    frames = sum(len(read(folder / "gate" / s.file, n, s, video).frames) for n, s in segments(folder / "gate"))
    share = (time.process_time() - begun) / (frames / 15)
    shutil.rmtree(folder)
    return {"core_per_camera": round(share, 3), "cores_for_four": round(4 * share, 3), "fit_one_core": int(1 / share)}


def consumer() -> dict[str, float]:
    """Frames a second of `cloud infer`, beside the same session alone."""
    films = load(TESTS / "films.py")
    folder = Path(tempfile.mkdtemp(prefix="edgeloop-consume-"))
    archive = default_model("visual_inspection")
    assert archive is not None
    data = films.film(20, rate=30)
    fragments = [infer.Fragment(f"{k:020d}", films.BEGIN + k * 20 * NS, data, "gate") for k in range(2)]
    judge = infer.package(archive)
    done = infer.Consumer(judge, str(folder / "out"), "plant", "gate").run(lambda after: iter(fragments))
    again = infer.Consumer(judge, str(folder / "out"), "plant", "gate").run(lambda after: iter(fragments))
    package = unpack(archive, folder / "model")
    runner = open_runner(package, package.manifest.variants[0], Options())
    preparation = Preparation(package.manifest, (0.0, 0.0, 1.0, 1.0))
    tensor, _ = preparation.fill(Frame("", 0, 0, films.picture(3), "rgb"), preparation.buffer())
    begun = time.monotonic()
    for _ in range(done.frames):
        runner.run(tensor)
    bare = done.frames / (time.monotonic() - begun)
    shutil.rmtree(folder)
    pace = done.frames / done.seconds
    return {
        "frames": done.frames, "frames_a_second": round(pace, 1), "bare_a_second": round(bare, 1),
        "ratio": round(pace / bare, 3), "inferred_twice": again.frames,
    }  # fmt: skip


def run() -> Mapping[str, Any]:
    need("video", "vision")
    stream, asked, encoded, read_back = (
        _told(name, part) for name, part in (
            ("pass-through", lambda: pass_through(film(4))), ("second opinion", opinions), ("encoding", encoding),
            ("consumer", consumer),
        )
    )  # fmt: skip
    goals = [
        _goal("frames that neither arrived nor were declared", stream["missing"], at_most=0),
        _goal("fragments with a time or frames that are not theirs", stream["times_wrong"], at_most=0),
        _goal("CPU of pass-through, of a core (two cameras of 1080p30)", stream["cpu_percent"], at_most=5, unit="%"),
        _goal("memory of VideoUpload", stream["memory_mb"], at_most=60, unit="MB"),
        _goal("four cameras of 1080p15, encoded to 640 pixels", encoded["cores_for_four"], at_most=1, unit="cores"),
        _goal("clip: before the event", stream["clip_before_s"], at_least=3, unit="s"),
        _goal("clip: there after its tail", stream["clip_late_s"], at_most=2, unit="s"),
        _goal("second opinion adds to the endpoint's 80 ms", asked["added_ms"], at_most=20, unit="ms"),
        _goal("parts with two verdicts, 5 % stalls and 5 % errors", asked["verdicts_twice"], at_most=0),
        _goal("parts later than their deadline", asked["too_late"], at_most=0),
        _goal("pace with the endpoint gone", asked["pace_with_endpoint_gone"], at_least=0.98),
        _goal("cloud infer beside bare onnxruntime", read_back["ratio"], at_least=0.9),
        _goal("frames inferred twice after a restart", read_back["inferred_twice"], at_most=0),
    ]
    return {"pass_through": stream, "opinions": asked, "encoding": encoded, "consumer": read_back, "goals": goals}


def _told(name: str, part: Callable[[], dict[str, float]]) -> dict[str, float]:
    found = part()
    print(f"{name}: {json.dumps(found)}", file=sys.stderr, flush=True)
    return found


def _goal(words: str, figure: float, **bounds: Any) -> dict[str, Any]:
    return {"goal": words, "figure": figure, **bounds}


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
