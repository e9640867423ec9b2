"""A Parquet file as blocks of rows: what StreamUpload wrote, or another program."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.component import user
from edgeloop.decode import document
from edgeloop.errors import EdgeloopError
from edgeloop.layout import METADATA, RESERVED
from edgeloop.tables import times
from edgeloop.tables.table import TIMES
from edgeloop.wire.batch import Channel
from sensor_ingest.sources.replay.blocks import Block

PURPOSE = "playing Parquet"
ROWS = 8192


class Columns:
    """The numeric columns of a Parquet file. Raises EdgeloopError where it cannot be read or has none.

    rate: samples a second, where the file says so.
    """

    rate: Fraction | None = None

    def __init__(self, path: Path, *, time: str = "", ignore: Collection[str] = (), form: str = "") -> None:
        self._path, self._form = path, form
        self._pa = optional.load("pyarrow", PURPOSE)
        parquet = optional.load("pyarrow.parquet", PURPOSE)
        try:
            with path.open("rb"):
                pass
            self._file = parquet.ParquetFile(path)
        except OSError as error:
            mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
            raise EdgeloopError("cannot read the file", where=str(path), why=error.strerror or "", mend=mend) from None
        except self._pa.ArrowException as error:
            raise self._error(_line(error)) from None
        schema = self._file.schema_arrow
        if len(set(schema.names)) < len(schema.names):
            raise self._error("two columns have the same name")
        own = self._about(schema.metadata or {})
        self._time = self._time_column(schema, time)
        self.unknown = tuple(name for name in ignore if name not in schema.names)
        self._channels: list[tuple[str, Channel]] = []
        text = []
        for field in schema:
            if field.name == self._time or field.name in ignore or (own and field.name in RESERVED):
                continue
            if self._numeric(field.type):
                self._channels.append((field.name, _channel(field.name, field.metadata or {})))
            else:
                text.append(field.name)
        self.text = tuple(text)
        if not self._channels:
            raise self._error("no column has numbers")

    @property
    def has_time(self) -> bool:
        return self._time is not None

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for _, channel in self._channels)

    def _about(self, metadata: dict[bytes, bytes]) -> bool:
        """Whether StreamUpload wrote it."""
        try:
            about = document(metadata[METADATA])
            self.rate = Fraction(about["rate"]) if about.get("rate") else None
        except KeyError:
            return False
        except (ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise self._error(f"what it says of itself is damaged: {error}") from None
        return True

    def _time_column(self, schema: Any, time: str) -> str | None:
        types = self._pa.types
        if time and time not in schema.names:
            raise self._error(f"there is no column {time!r}", f"the columns are {', '.join(schema.names)}")
        if time:
            return time
        stamps = [f.name for f in schema if types.is_timestamp(f.type)]
        named = [f.name for f in schema if f.name.lower() in TIMES]
        return next(iter([name for name in named if name in stamps] + stamps + named), None)

    def _numeric(self, kind: Any) -> bool:
        types = self._pa.types
        return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))

    def blocks(self) -> Iterator[Block]:
        """From the first row on. Raises EdgeloopError where reading fails."""
        names = [name for name, _ in self._channels] + ([self._time] if self._time else [])
        line = 1
        try:
            for batch in self._file.iter_batches(batch_size=ROWS, columns=names):
                yield self._block(batch, line)
                line += batch.num_rows
        except (OSError, self._pa.ArrowException) as error:
            raise self._error(_line(error), "repair the file", line) from None

    def _block(self, batch: Any, line: int) -> Block:
        values = np.empty((batch.num_rows, len(self._channels)))
        for i, (name, _) in enumerate(self._channels):
            column = batch.column(name).cast(self._pa.float64(), safe=False)
            values[:, i] = column.to_numpy(zero_copy_only=False)
        if self._time is None:
            return Block(None, values, np.arange(line, line + len(values)))
        stamps = batch.column(self._time)
        good = stamps.is_valid().to_numpy(zero_copy_only=False).astype(bool)
        found = np.zeros(batch.num_rows, dtype=np.int64)
        found[good] = self._stamps(stamps.filter(stamps.is_valid()))
        bad = tuple((line + int(i), "it has no time") for i in np.flatnonzero(~good))
        return Block(found[good], values[good], line + np.flatnonzero(good), bad)

    def _stamps(self, column: Any) -> NDArray[np.int64]:
        types, kind = self._pa.types, column.type
        if types.is_timestamp(kind):
            wide = column.cast(self._pa.timestamp("ns", kind.tz)).cast(self._pa.int64())
            return np.asarray(wide.to_numpy(zero_copy_only=False), dtype=np.int64)
        parse = times.written(self._form) if self._form else None
        stamps = [str(value) for value in column.to_pylist()]
        parse = parse or times.recognise(stamps[:50], certain=True)
        if parse is None:
            raise self._error(f"the time {stamps[0][:40]!r} is not understood", "give its `form`")
        try:
            return np.array([parse(text) for text in stamps], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise self._error(str(error), "give its `form`") from None

    def _error(self, why: str, mend: str = "give a Parquet file with numbers", line: int = 0) -> EdgeloopError:
        where = f"{self._path} row {line}" if line else str(self._path)
        return EdgeloopError("cannot read the file", where=where, why=why, mend=mend)

    def close(self) -> None:
        self._file.close()


def _channel(name: str, metadata: dict[bytes, bytes]) -> Channel:
    about = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in metadata.items()}
    try:
        return Channel(name, about.get("unit", "1"), float(about.get("scale", 1.0)), float(about.get("offset", 0.0)))
    except ValueError:
        return Channel(name, about.get("unit", "1"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
