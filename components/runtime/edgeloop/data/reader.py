"""Reading uploaded data back: local folders and S3 alike."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.clock import NS
from edgeloop.data import schemas
from edgeloop.decode import document
from edgeloop.errors import EdgeloopError
from edgeloop.layout import GAPS, METADATA, RAW, date

Time = int | str | datetime | None
Form = Literal["auto", "pandas", "arrow"]

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "EDGELOOP_ENDPOINT_URL")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PURPOSE = "reading uploaded data"


def read(
    source: str | Path,
    stream: str,
    start: Time = None,
    end: Time = None,
    *,
    device: str = "",
    columns: Sequence[str] = (),
    raw: bool = False,
    form: Form = "auto",
) -> Any:
    """The samples of a stream with start <= time < end, by device, epoch and index, each once.

    source: a folder or s3://bucket/prefix, that of `raw` or the one above it. An S3 endpoint of one's own comes from
    AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or EDGELOOP_ENDPOINT_URL.
    start, end: ns UTC, datetime or ISO 8601 text (UTC where it names no zone).
    columns: channels wanted; none: all. raw: integers as they were sampled, instead of physical values.
    form: pandas.DataFrame where pandas is installed ("auto"), else pyarrow.Table:

        table = edgeloop.read("s3://bucket/raw", stream="press7_vib", form="arrow")
        plt.plot(table["time"], table["x"])

    Raises EdgeloopError where there is nothing to read or pyarrow is missing.
    """
    pc, ds = (optional.load(f"pyarrow.{name}", _PURPOSE) for name in ("compute", "dataset"))
    first, last = nanoseconds(start), nanoseconds(end)
    files = [f for f in _files(source, RAW, stream, first, last) if _may_hold(f, first, last)]
    if not files:
        where = f"{source} stream {stream}"
        raise EdgeloopError("nothing was uploaded here", where=where, mend="check the name, the times and the prefix")
    tables = []
    for file in sorted(files, key=lambda f: f["path"]):
        part = ds.dataset(file["path"], filesystem=file["filesystem"], format="parquet")
        names = schemas.names(part.schema)
        if missing := set(columns) - set(names):
            there = ", ".join(names)
            raise EdgeloopError("no such column", where=stream, why=", ".join(sorted(missing)), mend=f"one of {there}")
        wanted = [*schemas.times(part.schema), *(names[c] for c in columns or names), *schemas.TAIL]
        table = part.to_table(columns=wanted, filter=_condition(pc, part.schema, first, last, device))
        table = schemas.today(table)
        tables.append(table if raw else _physical(table))
    return _form(_joined(tables), form)


def gaps(source: str | Path, stream: str = "", *, form: Form = "auto") -> Any:
    """What did not arrive, declared: device, stream, epoch, first and last index, reason (`dropped`: the device had
    no room for it; `not_captured`: the capture policy left it out)."""
    pa, pc, pq = (optional.load(name, _PURPOSE) for name in ("pyarrow", "pyarrow.compute", "pyarrow.parquet"))
    tables = [
        pq.read_table(file["path"], filesystem=file["filesystem"], partitioning=None) for file in _files(source, GAPS)
    ]
    kinds = gaps_columns(pa) | {"epoch": pa.uint64(), "time": pa.timestamp("ns", "UTC")}
    empty = pa.table({name: pa.array([], type=kind) for name, kind in kinds.items()})
    table = pa.concat_tables([empty, *(schemas.numbered(t).cast(empty.schema) for t in tables)])
    if stream:
        table = table.filter(pc.field("stream") == stream)
    return _form(table.group_by(table.column_names).aggregate([]), form)


def gaps_columns(pa: Any) -> dict[str, Any]:
    """Arrow types of the columns of `gaps` as they go up. pa: pyarrow."""
    return {
        "device": pa.string(), "stream": pa.string(), "epoch": pa.string(), "first": pa.int64(), "last": pa.int64(),
        "reason": pa.string(), "time": pa.timestamp("us", "UTC"),
    }  # fmt: skip


def _files(
    source: str | Path, kind: str, stream: str = "", first: int | None = None, last: int | None = None
) -> list[dict[str, Any]]:
    """Path, file system and partition values of each file of a kind at or below the source, of a stream alone where one
    is named: only folders that may hold it are listed."""
    fs = optional.load("pyarrow.fs", _PURPOSE)
    filesystem, top = open_source(fs, str(source))
    top = top.rstrip("/")
    base, _, name = top.rpartition("/")
    if kind not in top.split("/"):
        top = f"{base}/{kind}" if name in (RAW, GAPS) else f"{top}/{kind}"
    listed = [top]
    found: list[str] = []
    while listed:
        folder = listed.pop()
        try:
            for info in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
                if info.type == fs.FileType.File:
                    found += [info.path] if info.path.endswith(".parquet") else []
                elif _wanted(info.path.rpartition("/")[2], stream, first, last):
                    listed.append(info.path)
        except OSError as error:
            raise EdgeloopError("cannot read uploaded data", where=str(source), why=str(error)) from error
    files = [
        {"path": path, "filesystem": filesystem}
        | dict(part.split("=", 1) for part in path.split("/") if part.count("=") == 1)
        for path in sorted(found)
    ]
    return [file for file in files if not stream or file.get("stream") == stream]


def _wanted(folder: str, stream: str, first: int | None, last: int | None) -> bool:
    """Whether a folder may hold what is wanted; that of a day also what begins on it and reaches into the next, and
    what came on a later day from a device whose clock was not good."""
    key, _, value = folder.partition("=")
    if key == "stream" and stream:
        return value == stream
    return key != "date" or first is None or value >= date(first - 86_400 * NS)


def open_source(fs: Any, source: str) -> tuple[Any, str]:
    """File system and path of a folder or s3://bucket/prefix. fs: pyarrow.fs."""
    parts = urlsplit(source)
    if parts.scheme != "s3":
        return fs.LocalFileSystem(), str(Path(parts.path if parts.scheme == "file" else source).absolute())
    options: dict[str, Any] = {}
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    if endpoint and endpoint != "aws":
        url = urlsplit(endpoint)
        options = {"endpoint_override": url.netloc, "scheme": url.scheme}
        if url.hostname in _LOOPBACK and not os.environ.get("AWS_ACCESS_KEY_ID"):
            options |= {"anonymous": True}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    elif options:
        options["region"] = "us-east-1"
    return fs.S3FileSystem(**options), f"{parts.netloc}{parts.path}"


def _may_hold(file: dict[str, Any], first: int | None, last: int | None) -> bool:
    """By its partition. A file is dated by its first sample and may reach into the next day."""
    if file.get("clock") != "synced":
        return True
    day = str(file.get("date"))
    return (first is None or day >= date(first - 86_400 * NS)) and (last is None or day <= date(last))


def _condition(pc: Any, schema: Any, first: int | None, last: int | None, device: str) -> Any:
    exact = schemas.EXACT in schema.names
    field = pc.field(schemas.EXACT if exact else "time")
    condition = None
    for test in (
        None if first is None else field >= (first if exact else _scalar(first)),
        None if last is None else field < (last if exact else _scalar(last)),
        None if not device else pc.field("device") == device,
    ):
        condition = test if condition is None else condition if test is None else condition & test
    return condition


def _scalar(time: int) -> Any:
    pa = optional.load("pyarrow", _PURPOSE)
    return pa.scalar(time, type=pa.timestamp("ns", "UTC"))


def _physical(table: Any) -> Any:
    """Integer channels as raw * scale + offset, in the precision of `Batch.values`."""
    pa = optional.load("pyarrow", _PURPOSE)
    for at, field in enumerate(table.schema):
        metadata = field.metadata or {}
        if b"scale" not in metadata:
            continue
        scale, offset = (np.float64(document(metadata[name])) for name in (b"scale", b"offset"))
        kept = {name: value for name, value in metadata.items() if name not in (b"scale", b"offset")}
        values = table.column(at).to_numpy() * scale + offset
        table = table.set_column(at, pa.field(field.name, pa.from_numpy_dtype(values.dtype), metadata=kept), [values])
    return table


def _joined(tables: list[Any]) -> Any:
    """One table, ordered, each sample once. Channels that some files lack are null there."""
    pa = optional.load("pyarrow", _PURPOSE)
    tables = [table for table in tables if table.num_rows] or tables[:1]
    metadata = tables[0].schema.metadata or {}
    whole = pa.concat_tables(tables, promote_options="permissive")
    order = _order(*(_numbers(whole, name) for name in ("device", "epoch", "index", "time")))
    if not np.array_equal(order, np.arange(whole.num_rows)):
        whole = whole.take(order)
    return whole.replace_schema_metadata({METADATA: metadata[METADATA]} if METADATA in metadata else None)


def _numbers(table: Any, name: str) -> NDArray[Any]:
    column = table.column(name)
    if name == "device":
        column = column.combine_chunks().dictionary_encode().indices
    return np.asarray(column.cast("int64") if name == "time" else column)


def _order(device: NDArray[Any], epoch: NDArray[Any], index: NDArray[Any], time: NDArray[np.int64]) -> NDArray[np.intp]:
    """By device, then epoch (the one that began first), then index; of equal ones the first."""
    order = np.lexsort((index, epoch, device))
    if not len(order):
        return order
    run = (np.diff(device[order]) != 0) | (np.diff(epoch[order]) != 0)
    fresh = np.concatenate(([True], run | (np.diff(index[order]) != 0)))
    run = np.concatenate(([True], run))
    begins = time[order][run]
    group = np.cumsum(run) - 1
    order, group = order[fresh], group[fresh]
    return order[np.lexsort((np.arange(len(order)), begins[group], device[order]))]


def _form(table: Any, form: Form) -> Any:
    if form == "arrow" or (form == "auto" and importlib.util.find_spec("pandas") is None):
        return table
    frame = optional.load("pandas", _PURPOSE) and table.to_pandas()
    metadata = table.schema.metadata or {}
    frame.attrs |= document(metadata[METADATA]) if METADATA in metadata else {}
    frame.attrs["units"] = {f.name: f.metadata[b"unit"].decode() for f in table.schema if b"unit" in (f.metadata or {})}
    return frame


def nanoseconds(time: Time) -> int | None:
    """ns UTC of any form of time. Raises EdgeloopError."""
    if time is None or isinstance(time, int):
        return time
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time)
        except ValueError:
            raise EdgeloopError("not a time", why=repr(time), mend='such as "2026-03-01T08:00"') from None
    whole = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * NS + whole.microseconds * 1000
