"""From the disk to S3 and Kinesis and back, with everything real."""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeloop
from edgeloop import data
from edgeloop.clock import NS, now
from edgeloop.errors import EdgeloopError
from edgeloop.queue import UploadQueue
from edgeloop.wire.batch import Batch, Channel, Clock, Column, RecordBatch
from edgeloop_tools.build.archive import pyz
from stream_upload.declaration import DECLARATION, NAME

NTP = Clock("ntp")
ALL: dict[str, Any] = {"every": "1 s", "fast": {"policy": "all"}, "indicators": "0 s"}
MAKER = "io.edgeloop.AnomalyInference"


def vibration(epoch: int, index: int, rows: int, time: int, **more: Any) -> Batch:
    samples = np.random.default_rng(index).integers(-3000, 3000, (rows, 3)).astype("<i2")
    channels = tuple(Channel(name, "m/s2", 0.0049) for name in "xyz")
    return Batch("press1_vib", epoch, index, time, channels, samples, rate=Fraction(2560), clock=NTP, **more)


def status(epoch: int, index: int, time: int) -> RecordBatch:
    columns = {"running": Column("bool", np.array([index % 2], dtype=np.uint8))}
    return RecordBatch("press1_plc", epoch, index, np.array([time]), columns, clock=NTP)


def fill(core: Any, seconds: int, *, begin: int = 0) -> None:
    """Old samples, so that every second of them is a file at once, but for the last."""
    base = now() // NS * NS - 3600 * NS
    for k in range(5 * begin, 5 * (begin + seconds)):
        time = base + k * NS // 5
        core.journal.append([vibration(core.journal.epoch, 512 * k, 512, time), status(core.journal.epoch, k, time)])


def ranges(objects: dict[str, int], stream: str) -> list[tuple[int, int]]:
    names = [key.rpartition("_")[2].removesuffix(".parquet") for key in objects if f"stream={stream}/" in key]
    return sorted((int(first), int(last)) for first, last in (name.split("-") for name in names))


def contiguous(found: list[tuple[int, int]]) -> int:
    """Samples in ranges that follow one another from 0 on, none twice."""
    assert found, "nothing has arrived"
    assert found[0][0] == 0
    assert all(b[0] == a[1] + 1 for a, b in itertools.pairwise(found)), found
    return found[-1][1] + 1


def test_what_was_journalled_is_read_back(
    core: Any, endpoint: Any, bucket: str, until: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "stream_upload.pyz"
    archive.write_bytes(pyz(DECLARATION))
    core.start_manager()
    core.start({"bucket": bucket, "prefix": "edge/", **ALL}, archive)
    fill(core, 8)
    until(lambda: len(ranges(endpoint.objects(bucket), "press1_vib")) >= 7, "the objects")
    uploaded = contiguous(ranges(endpoint.objects(bucket), "press1_vib"))
    table = edgeloop.read(f"s3://{bucket}/edge/raw", stream="press1_vib", form="arrow")  # type: ignore[operator]
    batches = [item for item in core.items() if item.stream == "press1_vib"]
    expected = np.concatenate([batch.values() for batch in batches])[:uploaded]
    for at, name in enumerate("xyz"):
        assert np.array_equal(table[name].to_numpy(), expected[:, at])
    assert set(table["device"].to_pylist()) == {"core7"}
    assert edgeloop.read(f"s3://{bucket}/edge", "press1_plc", form="arrow")["running"].to_pylist()[:3] == [  # type: ignore[operator]
        False, True, False,
    ]  # fmt: skip
    until(lambda: core.state["objects"] >= 14, "the count of objects")
    assert "problem" not in core.log
    with pytest.raises(EdgeloopError, match="nothing was uploaded here"):
        data.read(f"s3://{bucket}/edge", "press9_vib")
    assert core.kill(signal.SIGTERM) == 0


def test_kills_lose_and_double_nothing(core: Any, endpoint: Any, bucket: str, until: Any) -> None:
    """Of StreamUpload at random instants, and of Stream Manager once."""
    chance = random.Random(7)
    core.start_manager()
    queue = UploadQueue(core.root, MAKER, segment=2000)
    seconds, records = 0, 0
    configuration = {"bucket": bucket, "kinesis": f"k-{bucket}", **ALL}
    for life in range(4):
        core.start(configuration)
        for _ in range(2):
            fill(core, 4, begin=seconds)
            seconds += 4
            for _ in range(10):
                queue.append("results", json.dumps({"n": records}).encode())
                records += 1
            time.sleep(chance.uniform(0.1, 0.7))
        if life == 2:
            core.kill_manager()
            core.start_manager()
        core.kill()
    core.start(configuration)
    until(lambda: len(ranges(endpoint.objects(bucket), "press1_vib")) >= seconds - 1, "all files", 150)
    until(lambda: {r["document"]["n"] for r in endpoint.records(f"k-{bucket}")} == set(range(records)), "records", 30)
    assert contiguous(ranges(endpoint.objects(bucket), "press1_vib")) >= (seconds - 1) * 2560
    found = endpoint.records(f"k-{bucket}")
    assert len({(r["component"], r["kind"], r["file"], r["offset"]) for r in found}) == records
    assert all(r["device"] == "core7" for r in found)
    until(lambda: not list((core.root / "work" / NAME / "spool").iterdir()), "the release of all files")


def test_without_stream_manager_all_is_kept(core: Any, endpoint: Any, bucket: str, until: Any) -> None:
    core.start({"bucket": bucket, **ALL})
    fill(core, 5)
    until(lambda: "Stream Manager is not there" in core.problems, "the problem")
    assert core.health["state"] == "degraded"
    until(lambda: len(list((core.root / "work" / NAME / "spool").glob("*.json"))) >= 8, "the files")
    assert len([line for line in core.log.splitlines() if "Stream Manager is not there" in line]) == 1
    core.start_manager()
    until(lambda: contiguous(ranges(endpoint.objects(bucket), "press1_vib") or [(0, 0)]) >= 4 * 2560, "the objects")
    until(lambda: core.health["state"] == "ok", "the end of the problem")


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown"])
def test_s3_that_refuses(core: Any, endpoint: Any, faulty: Any, bucket: str, until: Any, code: str) -> None:
    faulty.refuse = code
    core.start_manager(endpoint=faulty.url)
    core.start({"bucket": bucket, **ALL})
    fill(core, 3)
    until(lambda: f"{code}: refused; it is tried again" in core.problems, "the problem")
    assert core.health["state"] == "degraded"
    assert ranges(endpoint.objects(bucket), "press1_vib") == []
    assert core.numbers["backlog_files"] >= 4
    if code == "AccessDenied":
        assert core.numbers["failures"] > 0
    faulty.refuse = None
    until(lambda: len(ranges(endpoint.objects(bucket), "press1_vib")) == 2, "the objects", 40)
    until(lambda: core.health["state"] == "ok" and core.state["objects"] >= 4, "the end of the problem", 30)


def test_kinesis_that_throttles(core: Any, endpoint: Any, faulty: Any, bucket: str, until: Any) -> None:
    faulty.throttle = True
    core.start_manager(endpoint=faulty.url)
    queue = UploadQueue(core.root, MAKER, segment=300)
    core.start({"bucket": bucket, "kinesis": f"k-{bucket}", **ALL})
    for n in range(50):
        queue.append("alarms", json.dumps({"n": n}).encode())
    until(lambda: "Kinesis does not take records" in core.problems, "the problem", 30)
    kept = len(list(queue.folder.iterdir()))
    assert kept >= 2
    faulty.throttle = False
    until(lambda: len(endpoint.records(f"k-{bucket}")) == 50, "the records", 40)
    until(lambda: core.health["state"] == "ok", "the end of the problem")

    def released() -> bool:
        queue.append("alarms", b'{"n":50}')
        return len(list(queue.folder.iterdir())) < kept

    until(released, "the release of what has arrived")


def test_files_and_records_of_components_go_to_s3(core: Any, endpoint: Any, bucket: str, until: Any) -> None:
    core.start_manager()
    queue = UploadQueue(core.root, "io.edgeloop.CameraInference")
    core.start({"bucket": bucket, "site": "plant 7", **ALL})
    at = 1_772_323_200 * NS
    queue.put("hard_examples", "cam1_4711.jpg", b"image", {"label": "scratch", "score": 0.51}, time=at)
    for n in range(10):
        queue.append("results", json.dumps({"n": n}).encode())
    key = "hard_examples/site=plant-7/date=2026-03-01/core7_cam1_4711.jpg"
    until(lambda: {key, f"{key}.json"} <= set(endpoint.objects(bucket)), "the image")
    assert endpoint.s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"image"
    note = json.loads(endpoint.s3.get_object(Bucket=bucket, Key=f"{key}.json")["Body"].read())
    assert note["document"] == {"label": "scratch", "score": 0.51}
    records = until(lambda: [k for k in endpoint.objects(bucket) if k.startswith("records/")], "the records")
    lines = endpoint.s3.get_object(Bucket=bucket, Key=records[0])["Body"].read().decode().splitlines()
    assert [json.loads(line)["document"]["n"] for line in lines] == list(range(len(lines)))

    def deleted() -> bool:
        queue.append("results", b"{}")
        return not list(queue.folder.glob("*-hard_examples"))

    until(deleted, "the deletion of the image")


def test_nothing_configured_is_idle(core: Any, until: Any) -> None:
    core.start({})
    fill(core, 1)
    until(lambda: "configuration" in core.log, "the start")
    time.sleep(1)
    assert not core.state
    assert core.kill(signal.SIGTERM) == 0
