"""CSV and Parquet, from a folder, a file or S3, to recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import data, optional
from edgeloop.errors import EdgeloopError
from edgeloop.layout import RESERVED, Quality
from edgeloop.tables import BadRow, Table
from edgeloop_tools.train.recording import Recording

CSV = {".csv", ".tsv", ".txt"}


def recordings(
    source: str, *, stream: str = "", start: int | None = None, end: int | None = None, channels: Sequence[str] = ()
) -> list[Recording]:
    """Everything that there is, cut to [start, end), by start. Raises EdgeloopError naming the file and what to do."""
    if source.startswith("s3://"):
        if not stream:
            raise EdgeloopError("which stream?", where=source, mend="give --stream")
        found = _uploaded(source, stream, start, end)
    else:
        found = _local(Path(source), stream, start, end, channels)
    cut = []
    for recording in found:
        keep = np.ones(len(recording), dtype=bool)
        if start is not None:
            keep &= recording.times >= start
        if end is not None:
            keep &= recording.times < end
        if keep.any() and len(recording):
            cut.append(recording if keep.all() else recording.rows(keep))
    if not cut:
        why = "no row is between --start and --end" if found and (start or end) else "no rows"
        raise EdgeloopError("nothing to train on", where=source, why=why, mend="check the times and the files")
    return sorted(cut, key=lambda r: (int(r.times[0]), r.where))


def _local(path: Path, stream: str, start: int | None, end: int | None, channels: Sequence[str]) -> list[Recording]:
    if path.is_file():
        return [_file(path, channels)]
    if not path.is_dir():
        raise EdgeloopError("nothing to train on", where=str(path), why="no such file or folder", mend="check its path")
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    texts = [p for p in files if p.suffix.lower() in CSV]
    tables = [p for p in files if p.suffix.lower() == ".parquet"]
    if texts and tables:
        why = f"{texts[0].name} and {tables[0].name}"
        raise EdgeloopError("both CSV and Parquet", where=str(path), why=why, mend="name the folder of one of them")
    streams = sorted({part[7:] for p in tables for part in p.relative_to(path).parts if part.startswith("stream=")})
    if streams:
        if not stream and len(streams) > 1:
            raise EdgeloopError("which stream?", where=str(path), mend=f"give --stream: {', '.join(streams)}")
        return _uploaded(str(path), stream or streams[0], start, end)
    if not texts and not tables:
        raise EdgeloopError("nothing to train on", where=str(path), why="no CSV or Parquet file is below it",
                            mend="name another folder")  # fmt: skip
    return [_file(p, channels) for p in (texts or tables)]


def _file(path: Path, channels: Sequence[str]) -> Recording:
    if path.suffix.lower() != ".parquet":
        return _csv(path)
    pq = optional.load("pyarrow.parquet", "reading Parquet")
    try:
        table = pq.read_table(path, partitioning=None)
    except Exception as error:
        raise EdgeloopError("cannot read the file", where=str(path), why=str(error), mend="give it again") from None
    if "time" not in table.column_names:
        there = ", ".join(table.column_names)
        raise EdgeloopError("no column `time`", where=str(path), why=f"it has {there}", mend="name the times `time`")
    return _arrow(table, str(path))[0] if table.num_rows else _none(str(path))


def _none(where: str) -> Recording:
    raise EdgeloopError("nothing to train on", where=where, why="no rows", mend="give a file with rows")


def _csv(path: Path) -> Recording:
    table = Table(path)
    if not table.has_time:
        table.close()
        raise EdgeloopError("no column is a time", where=str(path), mend="put the time first and call it `time`")
    times: list[int] = []
    lines: list[int] = []
    rows: list[list[float]] = []
    missing = [float("nan")] * len(table.channels)
    bad = 0
    try:
        for row in table.rows():
            lines.append(row.line)
            if isinstance(row, BadRow):
                bad += 1
                times.append(times[-1] if times else 0)
                rows.append(missing)
            else:
                assert row.time is not None
                times.append(row.time)
                rows.append(row.values)
    finally:
        table.close()
    if bad == len(rows):
        raise EdgeloopError("cannot use the file", where=str(path), why="no row is good", mend="repair the file")
    values, when = np.array(rows, np.float32), np.array(times, np.int64)
    good = ~(np.isnan(values).all(axis=1) & np.concatenate(([True], np.diff(when) == 0)))
    empty = np.zeros(len(when), bool)
    whole = Recording(str(path), table.channels, when, values, empty, lines=np.array(lines), skipped=bad)
    return whole.rows(good)


def _uploaded(source: str, stream: str, start: int | None, end: int | None) -> list[Recording]:
    table = data.read(source, stream, start, end, form="arrow")
    if not table.num_rows:
        raise EdgeloopError("nothing to train on", where=f"{source} stream {stream}", why="no rows",
                            mend="check --start and --end")  # fmt: skip
    return _arrow(table, f"{source} stream {stream}")


def _arrow(table: Any, where: str) -> list[Recording]:
    """A recording for each device."""
    pa = optional.load("pyarrow", "reading Parquet")
    names = [
        f.name for f in table.schema
        if f.name not in RESERVED and (pa.types.is_integer(f.type) or pa.types.is_floating(f.type))
    ]  # fmt: skip
    if not names:
        raise EdgeloopError("no column has numbers", where=where, why=", ".join(table.column_names),
                            mend="name data with channels")  # fmt: skip
    values = np.stack([np.asarray(table.column(n).cast("float32")) for n in names], axis=1)
    times = table.column("time")
    if not pa.types.is_timestamp(times.type):
        raise EdgeloopError("`time` is no time", where=where, why=str(times.type), mend="write it as a timestamp")
    when = np.asarray(times.cast(pa.timestamp("ns", times.type.tz)).cast("int64"))
    known = set(table.column_names)
    breaks = np.zeros(len(when), bool)
    if {"epoch", "index"} <= known:
        epoch, index = np.asarray(table.column("epoch")), np.asarray(table.column("index"))
        breaks[1:] |= (epoch[1:] != epoch[:-1]) | (np.diff(index) != 1)
    if "quality" in known:
        breaks |= (np.asarray(table.column("quality")).astype(np.int64) & int(Quality.DISCONTINUITY)) != 0
    units = tuple((table.schema.field(n).metadata or {}).get(b"unit", b"").decode() for n in names)
    whole = Recording(where, tuple(names), when, values, breaks, units=units)
    if "device" not in known:
        return [whole]
    devices = np.asarray(table.column("device").combine_chunks().dictionary_encode().indices)
    labels = table.column("device").combine_chunks().dictionary_encode().dictionary.to_pylist()
    result = []
    for number in np.unique(devices):
        mine = whole.rows(devices == number)
        title = f"{where} device {labels[int(number)]}"
        result.append(Recording(title, mine.channels, mine.times, mine.values, mine.breaks, units=units))
    return result
