"""CSV and Parquet, from a folder, a file or S3, to recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import data, optional, tables
from edgeloop.errors import EdgeloopError
from edgeloop.layout import RESERVED, Quality
from edgeloop.tables import Options
from edgeloop.tables.files import COLUMNAR, RECORDERS, WORKBOOKS
from edgeloop_tools.tables import need
from edgeloop_tools.train.recording import Recording

CSV = (".csv", ".tsv", ".txt", *WORKBOOKS, *RECORDERS)


def recordings(
    source: str, *, stream: str = "", start: int | None = None, end: int | None = None, table: Options | None = None
) -> list[Recording]:
    """Everything that there is, cut to [start, end), by start. Raises EdgeloopError naming the file and what to do."""
    if source.startswith("s3://"):
        if not stream:
            raise EdgeloopError("which stream?", where=source, mend="give --stream")
        found = _uploaded(source, stream, start, end)
    else:
        found = _local(Path(source), stream, start, end, table or Options())
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


def _local(path: Path, stream: str, start: int | None, end: int | None, table: Options) -> list[Recording]:
    if path.is_file():
        need([path])
        return [_file(path, table)]
    if not path.is_dir():
        raise EdgeloopError("nothing to train on", where=str(path), why="no such file or folder", mend="check its path")
    files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    texts = [p for p in files if p.suffix.lower() in CSV]
    columnar = [p for p in files if p.suffix.lower() in COLUMNAR]
    if texts and columnar:
        why = f"{texts[0].name} and {columnar[0].name}"
        raise EdgeloopError("both CSV and Parquet", where=str(path), why=why, mend="name the folder of one of them")
    need(texts or columnar)
    streams = sorted({part[7:] for p in columnar for part in p.relative_to(path).parts if part.startswith("stream=")})
    if streams:
        if not stream and len(streams) > 1:
            raise EdgeloopError("which stream?", where=str(path), mend=f"give --stream: {', '.join(streams)}")
        return _uploaded(str(path), stream or streams[0], start, end)
    if not texts and not columnar:
        raise EdgeloopError("nothing to train on", where=str(path), why="no CSV or Parquet file is below it",
                            mend="name another folder")  # fmt: skip
    return [_file(p, table) for p in (texts or columnar)]


def _file(path: Path, options: Options) -> Recording:
    if path.suffix.lower() in COLUMNAR:
        found = _uploads(path)
        if found is not None:
            return found
    return _table(path, options)


def _uploads(path: Path) -> Recording | None:
    """What StreamUpload or `export` wrote, with its epochs; None: another program's."""
    pq = optional.load("pyarrow.parquet", "reading Parquet")
    try:
        schema = pq.read_schema(path)
        if not {"time", "epoch", "index"} <= set(schema.names):
            return None
        table = pq.read_table(path, partitioning=None)
    except Exception as error:
        raise EdgeloopError("cannot read the file", where=str(path), why=str(error), mend="give it again") from None
    return _arrow(table, str(path))[0] if table.num_rows else _none(str(path))


def _none(where: str) -> Recording:
    raise EdgeloopError("nothing to train on", where=where, why="no rows", mend="give a file with rows")


def _table(path: Path, options: Options) -> Recording:
    whole = tables.read(path, options)
    if whole.times is None:
        raise EdgeloopError("no column is a time", where=str(path), mend="put the time first, or name it: --time")
    bad = np.array([row for row, _ in whole.bad if row > 0], np.int64)
    lines, when, values = whole.rows, whole.times, whole.values.astype(np.float32)
    skipped = len(whole.bad)
    if len(bad) and lines[0] < lines[-1]:
        place = np.searchsorted(lines, bad)
        when = np.insert(when, place, when[np.clip(place - 1, 0, len(when) - 1)])
        values, lines = np.insert(values, place, np.nan, axis=0), np.insert(lines, place, bad)
    good = ~(np.isnan(values).all(axis=1) & np.concatenate(([True], np.diff(when) == 0)))
    names, units = tuple(c.name for c in whole.channels), tuple(c.unit for c in whole.channels)
    empty = np.zeros(len(when), bool)
    notes = (f"{path}: {whole.understood}",)
    found = Recording(str(path), names, when, values, empty, units, lines=lines, skipped=skipped, notes=notes)
    return found.rows(good)


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
