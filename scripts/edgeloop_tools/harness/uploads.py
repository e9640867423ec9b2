"""What arrived in the bucket, fetched, read back, and held against the journal sample by sample."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.data import read
from edgeloop.layout import RAW, column
from edgeloop.wire.batch import Batch, RecordBatch

EXAMPLES = "hard_examples/"
_FILE = re.compile(r"/stream=([^/]+)/.*_(\d+)-(\d+)\.parquet$")


@dataclass(slots=True)
class Arrived:
    """Objects of the bucket, by the first part of their key, and where they are now."""

    folder: Path
    objects: int = 0
    bytes: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    backlog_bytes: int = 0

    @property
    def examples(self) -> int:
        """Images for labelling."""
        return self.kinds.get(EXAMPLES.rstrip("/"), 0)

    def streams(self) -> list[str]:
        found = [path for top in ("", "schema=*/") for path in self.folder.glob(f"{RAW}/{top}site=*/stream=*")]
        return sorted({path.name.removeprefix("stream=") for path in found})


def rows(endpoint: str, bucket: str) -> Counter[str]:
    """Samples in the bucket by stream, as the names of its files say."""
    found: Counter[str] = Counter()
    for entry in _listed(_client(endpoint), bucket):
        if (named := _FILE.search(str(entry["Key"]))) is not None:
            found[named[1]] += int(named[3]) - int(named[2]) + 1
    return found


def fetch(endpoint: str, bucket: str, folder: Path, waiting: Iterable[Path]) -> Arrived:
    """Downloads the bucket. waiting: folders of what has not left the device."""
    client = _client(endpoint)
    arrived = Arrived(folder)
    for found in _listed(client, bucket):
        key = str(found["Key"])
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(target))
        arrived.objects += 1
        arrived.bytes += int(found["Size"])
        if not key.endswith(".jpg.json"):
            kind = key.partition("/")[0]
            arrived.kinds[kind] = arrived.kinds.get(kind, 0) + 1
    arrived.backlog_bytes = sum(
        path.lstat().st_size for top in waiting if top.is_dir() for path in top.rglob("*") if path.is_file()
    )
    return arrived


def _client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="observer", aws_secret_access_key="-"
    )


def _listed(client: Any, bucket: str) -> list[Any]:
    from botocore.exceptions import ClientError

    try:
        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
        return []
    return [entry for page in pages for entry in page.get("Contents", [])]


@dataclass(slots=True)
class _Table:
    """One stream as it was read back. epochs: epoch → (its first row, indices)."""

    values: dict[str, NDArray[Any]]
    times: NDArray[np.int64]
    epochs: dict[int, tuple[int, NDArray[np.int64]]]


class Comparison:
    """Fed with every batch of the journal; counts, by stream, the samples that arrived and those that are equal."""

    def __init__(self, arrived: Arrived | None) -> None:
        self.samples: dict[str, int] = {}
        self.equal: dict[str, int] = {}
        self._arrived = arrived
        self._tables: dict[str, _Table | None] = {}
        self._streams = set(arrived.streams()) if arrived else set[str]()

    @property
    def different(self) -> int:
        """Samples that arrived and are not, or not so, in the journal."""
        return sum(self.samples.values()) - sum(self.equal.values())

    def add(self, item: Batch | RecordBatch) -> None:
        table = self._table(item.stream)
        known = table.epochs.get(item.epoch) if table else None
        if table is None or known is None:
            return
        first, indices = known
        low, high = (int(n) for n in np.searchsorted(indices, [item.index, item.index + len(item)]))
        if low == high:
            return
        rows = indices[low:high] - item.index
        there = slice(first + low, first + high)
        same = np.ones(high - low, dtype=bool)
        for name, values in _columns(item, rows).items():
            got = table.values[name][there]
            unknown = np.zeros(len(got), dtype=bool)
            if got.dtype.kind == "f" and values.dtype.kind == "f":
                unknown = np.isnan(got) & np.isnan(values)
            same &= (got == values) | unknown
        times = item.times[rows] if isinstance(item, RecordBatch) else [item.time_of(int(row)) for row in rows]
        same &= table.times[there] == np.asarray(times, dtype=np.int64)
        self.equal[item.stream] += int(same.sum())

    def _table(self, stream: str) -> _Table | None:
        if stream not in self._tables:
            self._tables[stream] = self._read(stream) if stream in self._streams else None
        return self._tables[stream]

    def _read(self, stream: str) -> _Table:
        assert self._arrived is not None
        table = read(self._arrived.folder, stream, form="arrow")
        self.samples[stream], self.equal[stream] = table.num_rows, 0
        columns = {
            name: table.column(name).to_numpy()
            for name in table.column_names
            if name not in ("time", "device", "quality", "epoch", "index")
        }
        epochs: dict[int, tuple[int, NDArray[np.int64]]] = {}
        epoch, index = table.column("epoch").to_numpy(), table.column("index").to_numpy()
        begins = np.flatnonzero(np.diff(epoch, prepend=epoch[:1] + 1 if len(epoch) else 0) != 0)
        for begin, end in zip(begins, [*begins[1:], len(epoch)], strict=True):
            epochs[int(epoch[begin])] = int(begin), index[begin:end].astype(np.int64)
        times = table.column("time").cast("int64").to_numpy()
        return _Table(columns, times, epochs)


def _columns(item: Batch | RecordBatch, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Column of the uploaded table → what it should hold."""
    if isinstance(item, Batch):
        values = item.values()[rows]
        return {column(channel.name): values[:, n] for n, channel in enumerate(item.channels)}
    found: dict[str, NDArray[Any]] = {}
    for name, one in item.columns.items():
        whole = [one.labels[int(v)] for v in one.values] if one.labels else list(one.values)
        found[column(name)] = np.array(whole, dtype=object)[rows]
    return found
