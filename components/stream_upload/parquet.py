"""From items of the journal to Parquet files in the layout of `edgeloop.data`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop import optional
from edgeloop.data.reader import gaps_columns
from edgeloop.durable import File
from edgeloop.layout import METADATA, SCHEMA, Quality, columns
from edgeloop.wire.batch import Batch, Channel, Column, RecordBatch, row_times
from stream_upload.ledger import Gap

_PURPOSE = "writing Parquet"
GROUP: Final = 131_072
"""Rows of a row group."""

Samples = Batch | RecordBatch


def shape(item: Samples) -> object:
    """Equal for items that may share a file."""
    if isinstance(item, Batch):
        about = item.calibration, item.title
        return item.epoch, item.channels, item.samples.dtype.str, item.rate, about, item.clock.source
    columns = tuple((name, c.type, c.unit, c.labels) for name, c in item.columns.items())
    return item.epoch, columns, item.clock.source


def bytes_of(item: Samples) -> int:
    """Roughly what an item takes in memory."""
    if isinstance(item, Batch):
        return item.samples.nbytes + (item.times.nbytes if item.times is not None else 0)
    return item.times.nbytes + sum(
        c.values.nbytes if isinstance(c.values, np.ndarray) else sum(map(len, c.values)) for c in item.columns.values()
    )


def write(path: Path, items: Sequence[Samples], *, site: str, device: str) -> int:
    """Writes items of equal shape as one file that is on the disk when this returns; its size in bytes."""
    pa, pq = optional.load("pyarrow", _PURPOSE), optional.load("pyarrow.parquet", _PURPOSE)
    schema = _schema(pa, items[0], site, device)
    with File(path) as file:
        with pq.ParquetWriter(file.stream, schema, **_encodings(pa, schema)) as writer:
            for group in _groups(items):
                writer.write_table(_table(pa, schema, group, device), row_group_size=GROUP)
        return file.sync()


def write_gaps(path: Path, gaps: Sequence[Gap], *, device: str) -> str:
    """Writes what is declared not to arrive; the digest of the content."""
    pa, pq = optional.load("pyarrow", _PURPOSE), optional.load("pyarrow.parquet", _PURPOSE)
    schema = pa.schema(gaps_columns(pa))
    rows = [(device, g.stream, f"{g.epoch:016x}", g.first, g.last, g.reason, g.time // 1000) for g in gaps]
    columns = [pa.array([row[at] for row in rows], type=field.type) for at, field in enumerate(schema)]
    table = pa.Table.from_arrays(columns, schema=schema)
    with File(path) as file:
        pq.write_table(table, file.stream, compression="zstd")
        file.sync()
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def _groups(items: Sequence[Samples]) -> list[list[Samples]]:
    groups: list[list[Samples]] = [[]]
    rows = 0
    for item in items:
        if rows >= GROUP:
            groups.append([])
            rows = 0
        groups[-1].append(item)
        rows += len(item)
    return groups


def _schema(pa: Any, item: Samples, site: str, device: str) -> Any:
    about: dict[str, Any] = {"schema": SCHEMA, "site": site, "device": device, "stream": item.stream}
    clock = {"source": item.clock.source, "offset": item.clock.offset, "uncertainty": item.clock.uncertainty}
    about["clock"] = clock | {"synced_at": item.clock.synced_at}
    if isinstance(item, Batch):
        about["rate"] = str(item.rate) if item.rate is not None else None
        if item.title:
            about["title"] = item.title
        names = columns(channel.name for channel in item.channels)
        fields = [_channel(pa, item, channel, names[channel.name]) for channel in item.channels]
    else:
        names = columns(item.columns)
        fields = [
            pa.field(names[name], _type(pa, c), metadata={"name": name, **_unit(c)}) for name, c in item.columns.items()
        ]
    bits = {bit.name: str(bit.value) for bit in Quality}
    return pa.schema(
        [
            pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("time_ns", pa.int64(), nullable=False),
            *fields,
            pa.field("device", pa.string(), nullable=False),
            pa.field("epoch", pa.string(), nullable=False),
            pa.field("index", pa.int64(), nullable=False),
            pa.field("quality", pa.int8(), nullable=False, metadata=bits),
        ],
        metadata={METADATA: json.dumps(about, sort_keys=True)},
    )


def _channel(pa: Any, item: Batch, channel: Channel, name: str) -> Any:
    metadata = {"name": channel.name, "unit": channel.unit}
    if item.samples.dtype.kind != "f" or channel.scale != 1.0 or channel.offset != 0.0:
        metadata |= {"scale": repr(float(channel.scale)), "offset": repr(float(channel.offset))}
    if item.calibration:
        metadata["calibration"] = item.calibration
    kind = pa.from_numpy_dtype(item.samples.dtype.newbyteorder("="))
    return pa.field(name, kind, nullable=False, metadata=metadata)


def _type(pa: Any, column: Column) -> Any:
    text = pa.string
    kinds = {"bool": pa.bool_, "string": text, "enum": text, "status": pa.int64, "int": pa.int64, "float": pa.float64}
    return kinds[column.type]()


def _unit(column: Column) -> dict[str, str]:
    return {"unit": column.unit} if column.type in ("int", "float") else {}


def _encodings(pa: Any, schema: Any) -> dict[str, Any]:
    """Differences for times and integers, plain floating point, dictionaries for words and constants: what Spark from
    3.5, Athena, Trino and DuckDB read with their default settings."""
    encodings: dict[str, str] = {}
    words: list[str] = []
    for field in schema:
        if field.name in ("device", "epoch", "quality"):
            words.append(field.name)
        elif pa.types.is_floating(field.type):
            encodings[field.name] = "PLAIN"
        elif pa.types.is_integer(field.type) or pa.types.is_timestamp(field.type):
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif not pa.types.is_boolean(field.type):
            words.append(field.name)
    return {"compression": "zstd", "use_dictionary": words, "column_encoding": encodings, "version": "2.6"}


def _table(pa: Any, schema: Any, items: Sequence[Samples], device: str) -> Any:
    rows = sum(map(len, items))
    quality = np.zeros(rows, dtype=np.int8)
    index = np.empty(rows, dtype=np.int64)
    at = 0
    for item in items:
        index[at : at + len(item)] = np.arange(item.index, item.index + len(item))
        if item.clock.source == "free":
            quality[at : at + len(item)] = Quality.UNSYNCED
        if item.discontinuity:
            quality[at] |= Quality.DISCONTINUITY
        at += len(item)
    first = items[0]
    times = np.concatenate([row_times(item) for item in items])
    values: list[Any] = [pa.array(times // 1000, type=schema.field("time").type), pa.array(times)]
    if isinstance(first, Batch):
        batches = [item for item in items if isinstance(item, Batch)]
        native = first.samples.dtype.newbyteorder("=")
        for at in range(len(first.channels)):
            channel = np.concatenate([batch.samples[:, at] for batch in batches])
            values.append(pa.array(channel.astype(native, copy=False)))
    else:
        records = [item for item in items if isinstance(item, RecordBatch)]
        values += [_column(pa, [item.columns[name] for item in records]) for name in first.columns]
    values += [
        pa.repeat(device, rows),
        pa.repeat(f"{first.epoch:016x}", rows),
        pa.array(index),
        pa.array(quality),
    ]
    return pa.Table.from_arrays(values, schema=schema)


def _column(pa: Any, columns: Sequence[Column]) -> Any:
    first = columns[0]
    if first.type == "string":
        return pa.array([text for c in columns for text in c.values], type=pa.string())
    values = np.concatenate([np.asarray(c.values) for c in columns])
    if first.type == "enum":
        codes = pa.array(values, type=pa.int32(), mask=(values < 0) | (values >= len(first.labels)))
        return pa.DictionaryArray.from_arrays(codes, pa.array(first.labels, type=pa.string())).cast(pa.string())
    return pa.array(values.astype(bool)) if first.type == "bool" else pa.array(values, type=_type(pa, first))
