"""The lake over uploads of both schemas: exact, incremental, and whole wherever it is killed."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.layout import raw_key
from edgeloop.wire.batch import Batch, Channel, Clock
from edgeloop_tools.lake.compact import compact, parts
from stream_upload import parquet
from stream_upload.ledger import Gap

BEGAN = 1_772_323_200 * NS
DAYS = ("2026-03-01", "2026-03-02")
EPOCH = 0xFEDCBA9876543210


def put(folder: Path, day: int, first: int, rows: int, *, site: str = "a", device: str = "core7") -> np.ndarray:
    """Rows of one second, from a day's second `first`; integers of scale 0.5 and offset 1."""
    values = (np.arange(first, first + rows) % 977).astype("<i2").reshape(-1, 1)
    index, time = day * 86_400 + first, BEGAN + (day * 86_400 + first) * NS
    channels = (Channel("Bearing", "Cel", 0.5, 1.0),)
    batch = Batch("press7_temp", EPOCH, index, time, channels, values, rate=1, clock=Clock("ntp"))
    path = folder / raw_key(site, "press7_temp", DAYS[day], "synced", device, EPOCH, index, index + rows - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write(path, [batch], site=site, device=device)
    return values[:, 0] * 0.5 + 1.0


def upload(folder: Path) -> Path:
    for day in (0, 1):
        for first in range(0, 1200, 300):
            put(folder, day, first, 300)
    path = folder / "gaps" / "schema=2" / "site=a" / f"date={DAYS[0]}" / "core7_1.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_gaps(path, [Gap("press7_temp", EPOCH, 0, 9, "dropped", BEGAN)], device="core7")
    return folder


def rows(out: Path, table: str) -> list[dict[str, object]]:
    return [row for path in parts(out, table) for row in pq.ParquetFile(path).read().to_pylist()]


def test_minutes_hours_and_gaps_hold_what_was_uploaded(tmp_path: Path) -> None:
    done = compact(str(upload(tmp_path / "up")), tmp_path)
    assert (done.made, done.objects) == (2, 9)
    minutes = rows(tmp_path, "indicators_1m")
    values = (np.arange(1200) % 977) * 0.5 + 1.0
    expected = [(60, m.mean(), m.min(), m.max()) for m in values.reshape(-1, 60)] * 2
    np.testing.assert_allclose([[r[k] for k in ("n", "mean", "min", "max")] for r in minutes], expected)
    named = {(r["device"], r["asset"], r["type"], r["channel"], r["indicator"], r["unit"]) for r in minutes}
    assert named == {("core7", "press7", "press", "Bearing", "value", "Cel")}
    assert [(r["n"], r["mean"]) for r in rows(tmp_path, "indicators_1h")] == [(1200, pytest.approx(values.mean()))] * 2
    assert [(r["epoch"], r["last"], r["reason"]) for r in rows(tmp_path, "gaps")] == [(f"{EPOCH:016x}", 9, "dropped")]


def test_only_the_date_of_a_late_file_is_made_anew_and_a_sample_counts_once(tmp_path: Path) -> None:
    up = upload(tmp_path / "up")
    compact(str(up), tmp_path)
    before = {path: Path(path).stat().st_mtime_ns for path in parts(tmp_path, "indicators_1m")}
    put(up, 1, 1100, 200)  # 100 rows of it lie in another file
    done = compact(str(up), tmp_path)
    assert (done.made, done.same) == (1, 1)
    changed = [p for p, time in before.items() if Path(p).stat().st_mtime_ns != time]
    assert [DAYS[1] in path for path in changed] == [True]
    assert sum(int(str(r["n"])) for r in rows(tmp_path, "indicators_1m")) == 1200 + 1300


def test_schema_1_and_bad_numbers(tmp_path: Path) -> None:
    path = tmp_path / f"raw/site=a/stream=press7_plc/date={DAYS[0]}/clock=unsynced/core_7_00000000000000ab_0-2.parquet"
    path.parent.mkdir(parents=True)
    table = pa.table({
        "time": pa.array([BEGAN, BEGAN + 1, BEGAN + 2], pa.timestamp("ns", "UTC")),
        "Druck": [1.0, float("nan"), 4.0], "on": [True, True, False], "product": ["A", "B", "C"],
        "device": ["core_7"] * 3, "epoch": pa.array([0xAB] * 3, pa.uint64()),
        "index": pa.array([0, 1, 2], pa.int64()), "quality": pa.array([0] * 3, pa.uint8()),
    })  # fmt: skip
    pq.write_table(table, path)
    compact(str(tmp_path), tmp_path / "out")
    minutes = rows(tmp_path / "out", "indicators_1m")
    found = {r["channel"]: (r["device"], r["clock"], r["n"], r["mean"]) for r in minutes}
    own = ("core_7", "unsynced")
    assert found == {"Druck": (*own, 2, 2.5), "on": (*own, 3, pytest.approx(2 / 3))}


def test_a_day_whose_raw_files_expired_is_kept(tmp_path: Path) -> None:
    up = upload(tmp_path / "up")
    compact(str(up), tmp_path)
    next((up / "raw").rglob(f"date={DAYS[0]}/**/*.parquet")).unlink()
    lines: list[str] = []
    done = compact(str(up), tmp_path, say=lines.append)
    assert (done.held, done.same) == (1, 1)
    assert "gone" in lines[0]
    assert sum(int(str(r["n"])) for r in rows(tmp_path, "indicators_1m")) == 2400


def test_nothing_there_and_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="nothing was uploaded"):
        compact(str(tmp_path), tmp_path / "out")
    next((upload(tmp_path / "up") / "raw").rglob("*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(EdgeloopError, match=DAYS[0]):
        compact(str(tmp_path / "up"), tmp_path / "out")


def killed_at(up: Path, out: Path, at: int) -> bool:
    """Whether a run was killed at its step number `at`, which the process does to itself."""

    def run() -> None:
        left = [at]

        def step(name: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        compact(str(up), out, step=step)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_killed_at_every_step_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    up = upload(tmp_path / "up")
    compact(str(up), tmp_path / "old")
    old = rows(tmp_path / "old", "indicators_1m")
    late = tmp_path / "late"
    put(up, 0, 1200, 120)
    put(up, 1, 1200, 120)
    compact(str(up), late)
    whole = {table: rows(late, table) for table in ("indicators_1m", "indicators_1h", "gaps")}
    point = 0
    while True:
        out = tmp_path / f"killed{point}"
        os.system(f"cp -r '{tmp_path / 'old'}' '{out}'")
        killed = killed_at(up, out, point)
        seen = rows(out, "indicators_1m")
        for day in (1, 2):
            own = [r for r in seen if r["time"].day == day]  # type: ignore[attr-defined]
            either = [[r for r in t if r["time"].day == day] for t in (old, whole["indicators_1m"])]  # type: ignore[attr-defined]
            assert own in either
        compact(str(up), out)
        assert {table: rows(out, table) for table in whole} == whole
        point += 1
        if not killed:
            break
    assert point == 17


def test_alarms_and_labels_of_both_ways_count_once(tmp_path: Path) -> None:
    """As files of StreamUpload, and as Firehose delivers them: mixed, compressed, perhaps twice."""
    alarm = {"id": "a1", "monitor": "m", "asset": "press7", "kind": "process", "severity": "low", "state": "raised",
             "text": "t", "raised_at": BEGAN, "time": BEGAN}  # fmt: skip
    label = {"alarm": "a1", "monitor": "m", "asset": "press7", "kind": "process", "stream": "v", "reason": "true",
             "by": "kim", "time": BEGAN + NS, "start": BEGAN, "end": BEGAN}  # fmt: skip
    said = ("alarms", alarm), ("alarms", alarm | {"state": "cleared"}), ("labels", label)
    lines = [json.dumps({"device": "core7", "kind": kind, "document": each}).encode() for kind, each in said]
    first = tmp_path / "up" / "records" / "site=a" / "kind=alarms" / f"date={DAYS[0]}" / "core7_A_1_0-9.jsonl"
    mixed = tmp_path / "up" / "records" / "site=a" / "kind=all" / f"date={DAYS[0]}" / "delivery-1.gz"
    results = tmp_path / "up" / "records" / "site=a" / "kind=results" / f"date={DAYS[0]}" / "core7_A_2_0-9.jsonl"
    for path, content in ((first, b"\n".join([*lines[:2], b"no json", b'{"kind": "alarms"}'])),
                          (mixed, gzip.compress(b"\n".join([*lines, b"["]))), (results, b"{}")):  # fmt: skip
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    put(tmp_path / "up", 0, 0, 300)
    assert compact(str(tmp_path / "up"), tmp_path).objects == 3
    assert [(r["id"], r["state"], r["type"], r["count"]) for r in rows(tmp_path, "alarms")] == [
        ("a1", "cleared", "press", 1), ("a1", "raised", "press", 1),
    ]  # fmt: skip
    assert [(r["alarm"], r["reason"], r["by"]) for r in rows(tmp_path, "labels")] == [("a1", "true", "kim")]
    assert len(rows(tmp_path, "indicators_1m")) == 5
    assert compact(str(tmp_path / "up"), tmp_path).same == 1
