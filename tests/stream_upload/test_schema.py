"""What goes up is what engines read with their default settings; schema 1 beside it is read as before."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgeloop.clock import NS
from edgeloop.data import gaps, read, reader
from edgeloop.layout import raw_key
from edgeloop.wire.batch import Batch, Channel, Clock, Column, RecordBatch
from stream_upload import parquet
from stream_upload.ledger import Gap

BEGAN = 1_772_323_200 * NS + 123
EPOCH = 0xFEDCBA9876543210


def vibration(index: int = 0, rows: int = 200) -> Batch:
    values = np.random.default_rng(index).normal(0, 1000, (rows, 3)).astype("<i2")
    channels = (Channel("X", "m/s2", 0.005), Channel("x", "m/s2", 0.005), Channel("x_band_3.2_6.4_kHz", "m/s2"))
    time = BEGAN + index * NS // 25_600
    return Batch("vib", EPOCH, index, time, channels, values, rate=Fraction(25_600), clock=Clock("ntp"))


def records(rows: int = 50) -> RecordBatch:
    at = np.arange(rows)
    columns = {
        "Running": Column("bool", (at % 2).astype(np.uint8)),
        "product": Column("enum", (at % 3).astype(np.int32), ("A", "B", "C")),
        "order": Column("string", tuple(f"order {k}" for k in at)),
        "status": Column("status", at.astype(np.uint32) + 0x8000_0000),
        "count": Column("int", at.astype(np.int64), unit="{part}"),
        "time": Column("float", at / 7, unit="s"),
    }
    return RecordBatch("plc", EPOCH, 0, BEGAN + at * NS // 3, columns, clock=Clock("ptp"))


def written(folder: Path) -> list[Path]:
    for item in (vibration(), records()):
        key = raw_key("plant", item.stream, "2026-03-01", "synced", "core7", EPOCH, 0, len(item) - 1)
        path = folder / key
        path.parent.mkdir(parents=True)
        parquet.write(path, [item], site="plant", device="core7")
    path = folder / "gaps" / "schema=2" / "site=plant" / "date=2026-03-01" / "core7_1.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_gaps(path, [Gap("vib", EPOCH, 0, 9, "dropped", BEGAN)], device="core7")
    return sorted(folder.rglob("*.parquet"))


def test_only_what_every_engine_reads(tmp_path: Path) -> None:
    for path in written(tmp_path):
        file = pq.ParquetFile(path)
        for field in file.schema_arrow:
            assert re.fullmatch(r"[a-z][a-z0-9_]*", field.name), field
            assert not pa.types.is_unsigned_integer(field.type), field
            assert not pa.types.is_dictionary(field.type), field
            assert not pa.types.is_timestamp(field.type) or field.type.unit == "us", field
        for at in range(file.metadata.num_columns):
            column = file.metadata.row_group(0).column(at)
            assert not {"BYTE_STREAM_SPLIT", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"} & set(column.encodings)


def test_it_is_read_back_exactly(tmp_path: Path) -> None:
    written(tmp_path)
    item = vibration()
    table = read(tmp_path / "raw", "vib", form="arrow")
    assert table.column_names == ["time", "X", "x", "x_band_3.2_6.4_kHz", "device", "epoch", "index", "quality"]
    assert table["time"].cast("int64").to_pylist() == [item.time_of(row) for row in range(len(item))]
    assert set(table["epoch"].to_pylist()) == {EPOCH}
    np.testing.assert_array_equal(table["X"].to_numpy(), item.values()[:, 0])
    plc = read(tmp_path, "plc", form="arrow", columns=["Running", "time_"])
    assert plc["time"].cast("int64").to_pylist() == records().times.tolist()
    assert plc["time_"].to_pylist() == [k / 7 for k in range(50)]
    after = read(tmp_path, "plc", start=int(records().times[10]), end=int(records().times[12]), form="arrow")
    assert after["order"].to_pylist() == ["order 10", "order 11"]
    assert after["status"].to_pylist() == [0x8000_000A, 0x8000_000B]
    assert gaps(tmp_path, "vib", form="arrow")["epoch"].to_pylist() == [EPOCH]


def test_only_what_is_asked_for_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hour of a stream beside other streams and days."""
    (mine,) = (path for path in written(tmp_path) if "stream=vib" in str(path))
    for day in range(1, 29):
        for stream in ("vib", *(f"s{n}" for n in range(20))):
            folder = tmp_path / f"raw/schema=2/site=plant/stream={stream}/date=2026-02-{day:02}/clock=synced"
            folder.mkdir(parents=True)
            (folder / "core7_other.parquet").write_bytes(b"")
    listed: list[str] = []
    real = reader.open_source

    class Counting:
        def __init__(self, filesystem: Any) -> None:
            self.filesystem = filesystem

        def get_file_info(self, selector: Any) -> Any:
            found = self.filesystem.get_file_info(selector)
            listed.extend(info.path for info in found if info.path.endswith(".parquet"))
            return found

    def counted(fs: Any, source: str) -> tuple[Any, str]:
        filesystem, path = real(fs, source)
        return Counting(filesystem), path

    monkeypatch.setattr(reader, "open_source", counted)
    files = reader._files(tmp_path, "raw", "vib", BEGAN, BEGAN + 3600 * NS)
    assert str(mine) in [file["path"] for file in files]
    assert len(listed) <= 3, json.dumps(listed)
