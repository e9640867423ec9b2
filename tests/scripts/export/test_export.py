"""From a journal that is being written to files that read back the same."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from edgeloop.clock import NS, rfc3339
from edgeloop.journal import JournalWriter, directory
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch, row_times
from edgeloop_tools.cli import main

T = 1_800_000_000 * NS
RATE = Fraction(1000)
ROWS = 250


def vibration(number: int, epoch: int = 7, *, scale: float = 1.0, skip: int = 0) -> Batch:
    index = number * ROWS + skip
    values = (np.arange(2 * ROWS).reshape(ROWS, 2) + 2 * index).astype(np.int16 if scale != 1 else np.float32)
    channels = Channel("x", "m/s2", scale), Channel("y", "m/s2", scale)
    return Batch(
        "press1_vib",
        epoch,
        index,
        T + index * NS // 1000,
        channels,
        values,
        RATE,
        discontinuity=bool(skip) and number == 8,
    )


def plc(number: int) -> RecordBatch:
    times = T + np.arange(5, dtype=np.int64) * NS // 20 + number * NS // 4
    columns = {
        "running": Column("bool", np.array([1, 0, 1, 1, 0], np.uint8)),
        "mode": Column("enum", np.array([0, 1, 1, 9, 0], np.int32), ("auto", "hand")),
        "product": Column("string", ("a", "b,c", 'd"', "ü", "")),
        "level": Column("float", np.array([0.5, np.nan, 2, 3, 4]), unit="%"),
    }
    return RecordBatch("press1_plc", 7, number * 5, times, columns)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with_gap = [vibration(n) for n in range(8)] + [vibration(n, skip=100) for n in range(8, 12)]
    items = [item for n, batch in enumerate(with_gap) for item in (batch, plc(n))]
    folder = directory(tmp_path)
    folder.parent.mkdir(parents=True)
    writer = JournalWriter(folder, segment_bytes=64 << 10)
    for item in items:
        writer.append([item])
    writer.close()
    return tmp_path


def test_npy_has_all_samples_and_says_what_is_missing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = root / "x.npy"
    assert main(["export", "press1_vib", "-o", str(out), "--root", str(root)]) == 0
    assert np.array_equal(np.load(out), np.concatenate([vibration(n, skip=100 * (n > 7)).samples for n in range(12)]))
    line = capsys.readouterr().err
    assert "3000 samples of press1_vib" in line
    assert "1 gap, 100 missing samples" in line


def test_parquet_reads_back_with_units_and_identity(root: Path) -> None:
    out = root / "x.parquet"
    assert main(["export", "press1_vib", "-o", str(out), "--root", str(root)]) == 0
    table = pq.read_table(out)
    assert table.column_names == ["time", "x", "y", "epoch", "index"]
    assert table.schema.field("x").metadata == {b"unit": b"m/s2"}
    assert np.array_equal(table["time"].cast("int64")[:ROWS], row_times(vibration(0)))
    assert table["index"].to_pylist()[-1] == 3099


def test_csv_of_records_to_standard_output(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "press1_plc", "-o", "-", "--root", str(root), "--json"]) == 0
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == 60
    assert rows[1] == {"time": rfc3339(T + NS // 20), "running": "false", "mode": "hand", "product": "b,c", "level": ""}
    assert rows[3]["mode"] == "9"
    assert rows[3]["product"] == "ü"
    account = json.loads(said.err)
    assert (account["rows"], account["steps"], account["epochs"]) == (60, 0, 1)


@pytest.mark.parametrize(
    ("options", "first", "rows"),
    [
        (["--last", "500 ms"], 2600, 500),
        (["--start", rfc3339(T + NS // 2)], 500, 2500),
        (["--end", rfc3339(T + NS // 2)], 0, 500),
        (["--start", rfc3339(T + NS), "--end", rfc3339(T + NS + 30_000_000)], 1000, 30),
        (["--end", rfc3339(T + NS), "--last", "0.1 s"], 900, 100),
    ],
)
def test_a_span_of_time(root: Path, options: list[str], first: int, rows: int) -> None:
    out = root / "x.parquet"
    assert main(["export", "press1_vib", *options, "-o", str(out), "--root", str(root)]) == 0
    table = pq.read_table(out)
    assert table["index"][0].as_py() == first
    assert table.num_rows == rows


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["press9_vib", "-o", "x.csv"], "no such stream (press9_vib); streams: press1_plc, press1_vib"),
        (["press1_vib", "-o", "x.xls"], "unknown form of file (x.xls); end its name with one of .csv, .parquet, .npy"),
        (["press1_plc", "-o", "x.npy"], "records do not fit into .npy"),
        (["press1_vib", "-o", "x.csv", "--last", "soon"], "--last is no span of time (soon)"),
        (["press1_vib", "-o", "x.csv", "--start", "soon"], "--start is no time (soon)"),
        (["press1_vib", "-o", "x.csv", "--end", "2001-01-01T00:00"], "there are no samples of these times"),
        (["press1_vib", "-o", "nowhere/x.csv"], "cannot write the file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_no_file(
    root: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    before = set(root.iterdir())
    assert main(["export", *words, "--root", str(root)]) == 1
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
    assert set(root.iterdir()) == before


def test_changed_columns_are_refused_with_the_time_of_the_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = directory(tmp_path)
    folder.parent.mkdir(parents=True)
    writer = JournalWriter(folder)
    first, other = vibration(0, scale=0.5), vibration(1)
    writer.append([first])
    writer.append([Batch("press1_vib", 7, ROWS, other.time, other.channels[:1], other.samples[:, :1].copy(), RATE)])
    out = tmp_path / "x.csv"
    assert main(["export", "press1_vib", "-o", str(out), "--root", str(tmp_path)]) == 1
    assert f"use --end or --start {rfc3339(other.time)}" in capsys.readouterr().err
    end = ["--end", rfc3339(other.time)]
    assert main(["export", "press1_vib", *end, "--raw", "-o", str(tmp_path / "x.npy"), "--root", str(tmp_path)]) == 0
    assert np.load(tmp_path / "x.npy").dtype == np.int16
    assert main(["export", "press1_vib", *end, "-o", str(out), "--root", str(tmp_path)]) == 0
    rows = list(csv.reader(out.open()))
    assert rows[2] == [rfc3339(T + 1_000_000), "1", "1.5"]
    writer.close()
