"""Parquet and Feather: what StreamUpload wrote, or another program."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.decode import document
from edgeloop.errors import EdgeloopError
from edgeloop.layout import METADATA, RESERVED
from edgeloop.tables.cells import Arrow
from edgeloop.tables.chunk import About, Chunk, Columns, Stamps
from edgeloop.tables.layout import opened
from edgeloop.wire.batch import Channel

ROWS = 8192
FARTHEST = 1 << 62
"""ns from 1970: what is farther is no time."""
PURPOSE = "reading Parquet and Feather"


class ColumnarFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._pa = optional.load("pyarrow", PURPOSE)
        self._pc = optional.load("pyarrow.compute", PURPOSE)
        opened(path).close()
        feather = path.suffix.lower() in (".feather", ".arrow", ".ipc")
        try:
            if feather:
                self._file: Any = optional.load("pyarrow.ipc", PURPOSE).open_file(self._pa.OSFile(str(path)))
                schema = self._file.schema
            else:
                self._file = optional.load("pyarrow.parquet", PURPOSE).ParquetFile(path)
                schema = self._file.schema_arrow
        except (OSError, self._pa.ArrowException) as error:
            raise self._error(_line(error)) from None
        self._feather = feather
        if len(set(schema.names)) < len(schema.names):
            raise self._error("two columns have the same name")
        self.about = self._describe(schema)

    def _describe(self, schema: Any) -> About:
        own, rate = False, None
        try:
            about = document((schema.metadata or {})[METADATA])
            rate, own = Fraction(about["rate"]) if about.get("rate") else None, True
        except KeyError:
            pass
        except (ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise self._error(f"what it says of itself is damaged: {error}") from None
        kinds = "".join(self._kind(field.type) for field in schema)
        channels = {
            field.name: _channel(field.name, field.metadata or {}) for field, kind in zip(schema, kinds, strict=True)
            if kind == "n" or field.metadata
        }  # fmt: skip
        reserved = RESERVED if own else ()
        index = {name for name in schema.names if name.startswith("__index_level_")}
        mine = frozenset(name for name in (*reserved, *index) if name in schema.names and name != "time")
        head = [[] for _ in schema.names] if "x" not in kinds else self._head(schema)
        mine = frozenset(n for n in mine if n not in index or kinds[schema.names.index(n)] != "t")
        return About(list(schema.names), kinds, channels=channels, own=mine, rate=rate, head=head)

    def _head(self, schema: Any) -> list[list[str]]:
        for batch in self._batches():
            return [
                [str(v or "") for v in batch.column(i)[:2000].to_pylist()] if self._kind(field.type) == "x" else []
                for i, field in enumerate(schema)
            ]
        return [[] for _ in schema.names]

    def _kind(self, kind: Any) -> str:
        types = self._pa.types
        if types.is_timestamp(kind):
            return "t"
        if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind):
            return "n"
        if types.is_duration(kind):
            return "n"
        return "x"

    def _batches(self) -> Iterator[Any]:
        if self._feather:
            for i in range(self._file.num_record_batches):
                yield self._file.get_batch(i)
        else:
            yield from self._file.iter_batches(batch_size=ROWS)

    def chunks(self) -> Iterator[Chunk]:
        line = 1
        try:
            for batch in self._batches():
                columns = [self._column(batch.column(i), kind) for i, kind in enumerate(self.about.kinds)]
                yield Chunk(np.arange(line, line + batch.num_rows, dtype=np.int64), columns)
                line += batch.num_rows
        except (OSError, self._pa.ArrowException) as error:
            raise self._error(_line(error), "repair the file", line) from None

    def _column(self, column: Any, kind: str) -> Columns:
        pa, types = self._pa, self._pa.types
        if kind == "n":
            if types.is_duration(column.type):
                column = column.cast(pa.duration("ns")).cast(pa.int64())
                return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)) / 1e9
            if types.is_signed_integer(column.type) and not column.null_count:
                return np.asarray(column.to_numpy(zero_copy_only=False))
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return np.asarray(values, np.float64)
        if kind == "t":
            zone = getattr(column.type, "tz", None)
            good = np.asarray(column.is_valid().to_numpy(zero_copy_only=False), bool)
            factor = {"s": NS, "ms": 10**6, "us": 10**3, "ns": 1}[column.type.unit]
            wide = np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
            good &= np.abs(wide) <= FARTHEST // factor
            return Stamps(np.where(good, wide, 0) * factor, good, local=zone is None)
        if types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not (types.is_string(column.type) or types.is_large_string(column.type)):
            column = pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
        return Arrow(column.cast(pa.string()), self._pc, pa)

    def _error(self, why: str, mend: str = "give a Parquet file with numbers", line: int = 0) -> EdgeloopError:
        where = f"{self._path} row {line}" if line else str(self._path)
        return EdgeloopError("cannot read the file", where=where, why=why, mend=mend)

    def close(self) -> None:
        if not self._feather:
            self._file.close()


def _channel(name: str, metadata: dict[bytes, bytes]) -> Channel:
    about = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in metadata.items()}
    try:
        return Channel(name, about.get("unit", "1"), float(about.get("scale", 1.0)), float(about.get("offset", 0.0)))
    except ValueError:
        return Channel(name, about.get("unit", "1"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
