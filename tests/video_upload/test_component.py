"""Both processes: a camera's pictures to the ring, from there to a local Kinesis Video Streams and to clips."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from edgeloop.queue import QueueReader
from edgeloop_tools.bench.suite import load
from edgeloop_tools.cloud.streams import Streams
from video_upload.declaration import DECLARATION as VIDEO
from video_upload.declaration import NAME

films: Any = load(Path(__file__).with_name("films.py"))
AWS = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_a_camera_streams_and_what_fails_is_a_clip(plant: Any, tmp_path: Path) -> None:
    with Streams(tmp_path / "kvs") as kvs:
        video = {"to": "kvs s3", "stream": "s1", "when": "events", "before": "2 s", "after": "2 s", "rate": "5 Hz"}
        plant.camera(uri="simulator:?seed=7&rate=10&defective=0.5", policy="every", deadline="20 s", video=video)
        _, camera = plant.start(**AWS, AWS_ENDPOINT_URL_KINESIS_VIDEO=kvs.url)
        plant.wait(lambda: len(kvs.fragments("s1")) >= 3)
        upload, _ = plant.start(VIDEO, **AWS, AWS_ENDPOINT_URL_KINESIS_VIDEO=kvs.url), plant._processes[0].kill()
        count = len(kvs.fragments("s1"))
        plant.wait(lambda: len(kvs.fragments("s1")) >= count + 2)
        os.kill(camera.pid, signal.SIGKILL)
        reader = QueueReader(plant.root, NAME)
        plant.wait(lambda: any(entry.kind == "clips" for entry in reader.entries()))
        path, said = reader.describe(next(e for e in reader.entries() if e.kind == "clips"))
        assert len(films.decoded(path.read_bytes())) == said.document["frames"] > 5
        assert {event["what"] for event in said.document["events"]} == {"fail"}
        fragments = kvs.fragments("s1")
        assert all(len(films.decoded(f.read())) == f.frames for f in fragments)
        assert not kvs.malformed
        upload[0].terminate()
        assert upload[0].wait(60) == 0
