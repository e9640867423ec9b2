"""Files that samples are written to, a batch at a time: CSV, Parquet, npy."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import IO, Any, BinaryIO, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.clock import rfc3339
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Batch, RecordBatch, row_times

GROUP = 131_072
"""Rows of a row group of Parquet."""


class Writer(Protocol):
    def write(self, item: Batch | RecordBatch) -> None: ...

    def close(self) -> None: ...


def columns(item: Batch | RecordBatch, *, raw: bool) -> dict[str, Sequence[Any] | NDArray[Any]]:
    """By name: physical values, enumerations as their labels."""
    if isinstance(item, Batch):
        values = item.samples if raw else item.values()
        return {channel.name: values[:, at] for at, channel in enumerate(item.channels)}
    found: dict[str, Sequence[Any] | NDArray[Any]] = {}
    for name, column in item.columns.items():
        if column.type == "bool":
            found[name] = np.asarray(column.values).astype(bool)
        elif column.type == "enum" and not raw:
            codes = [int(v) for v in column.values]
            found[name] = [column.labels[c] if 0 <= c < len(column.labels) else str(c) for c in codes]
        else:
            found[name] = column.values
    return found


def units(item: Batch | RecordBatch) -> dict[str, str]:
    """UCUM, by column."""
    if isinstance(item, Batch):
        return {c.name: c.unit for c in item.channels}
    return {name: c.unit for name, c in item.columns.items() if c.type == "float"}


class Table:
    """What all forms share: the columns of the first batch are those of the file."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self._names: list[str] = []

    def values(self, item: Batch | RecordBatch) -> dict[str, Sequence[Any] | NDArray[Any]]:
        """Raises EdgeloopError where the columns are others than before."""
        found = columns(item, raw=self._raw)
        if not self._names:
            self._names = list(found)
        elif list(found) != self._names:
            at = rfc3339(int(row_times(item)[0]))
            why = f"{', '.join(found)} from {at} on, {', '.join(self._names)} before"
            raise EdgeloopError("the columns changed", where=item.stream, why=why, mend=f"use --end or --start {at}")
        return found


class CsvFile(Table):
    """`time` first, RFC 3339 with ns; missing values are empty."""

    def __init__(self, file: TextIO, *, raw: bool) -> None:
        super().__init__(raw=raw)
        self._file, self._csv = file, csv.writer(file, lineterminator="\n")

    def write(self, item: Batch | RecordBatch) -> None:
        first = not self._names
        values = self.values(item)
        if first:
            self._csv.writerow(["time", *values])
        texts = [_texts(v) for v in values.values()]
        self._csv.writerows(zip(map(rfc3339, row_times(item).tolist()), *texts, strict=True))

    def close(self) -> None:
        self._file.flush()


class ParquetFile(Table):
    """The columns of `edgeloop.read`: time, channels with their units, epoch, index."""

    def __init__(self, file: BinaryIO, *, raw: bool) -> None:
        super().__init__(raw=raw)
        self._file = file
        self._pa, self._pq = (optional.load(name, "writing Parquet") for name in ("pyarrow", "pyarrow.parquet"))
        self._schema: Any = None
        self._writer: Any = None
        self._waiting: list[Any] = []

    def write(self, item: Batch | RecordBatch) -> None:
        pa = self._pa
        values = self.values(item)
        stamps = pa.array(row_times(item), type=pa.timestamp("ns", "UTC"))
        index = np.arange(item.index, item.index + len(item), dtype=np.int64)
        channels = [pa.array(np.ascontiguousarray(v) if isinstance(v, np.ndarray) else v) for v in values.values()]
        epoch = np.full(len(item), item.epoch, np.uint64)
        arrays = [stamps, *channels, pa.array(epoch), pa.array(index)]
        if self._schema is None:
            unit = units(item)
            names = ["time", *values, "epoch", "index"]
            self._schema = pa.schema([
                pa.field(name, array.type, metadata={"unit": unit[name]} if name in unit else None)
                for name, array in zip(names, arrays, strict=True)
            ])  # fmt: skip
            self._writer = self._pq.ParquetWriter(self._file, self._schema, compression="zstd")
        arrays = [a.cast(f.type) for a, f in zip(arrays, self._schema, strict=True)]
        self._waiting.append(pa.Table.from_arrays(arrays, schema=self._schema))
        if sum(t.num_rows for t in self._waiting) >= GROUP:
            self._flush()

    def close(self) -> None:
        if self._writer is not None:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._pa.concat_tables(self._waiting), row_group_size=GROUP)
            self._waiting = []


class NpyFile(Table):
    """(samples, channels) without times; the header, which has room to grow, is written again at the end."""

    def __init__(self, file: IO[bytes], *, raw: bool) -> None:
        super().__init__(raw=raw)
        self._file, self._rows = file, 0
        self._dtype: np.dtype[Any] | None = None
        self._channels = 0

    def write(self, item: Batch | RecordBatch) -> None:
        if isinstance(item, RecordBatch):
            raise EdgeloopError("records do not fit into .npy", where=item.stream, mend="export to .csv or .parquet")
        _ = self.values(item)
        values = item.samples if self._raw else item.values()
        if self._dtype is None:
            self._dtype, self._channels = values.dtype.newbyteorder("<"), values.shape[1]
            self._header()
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._rows += len(values)

    def close(self) -> None:
        if self._dtype is not None:
            self._file.seek(0)
            self._header()

    def _header(self) -> None:
        assert self._dtype is not None
        form = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False,
                "shape": (self._rows, self._channels)}  # fmt: skip
        np.lib.format.write_array_header_1_0(self._file, form)


def _texts(values: Sequence[Any] | NDArray[Any]) -> list[str]:
    if not isinstance(values, np.ndarray):
        return [str(v) for v in values]
    if values.dtype.kind == "b":
        return ["true" if v else "false" for v in values.tolist()]
    if values.dtype.kind != "f":
        return [str(v) for v in values.tolist()]
    texts = [np.format_float_positional(v, trim="-") if 1e-4 <= abs(v) < 1e9 else str(v) for v in values]
    return ["" if text == "nan" else text for text in texts]
