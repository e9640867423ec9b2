"""`lake compact`: one (site, date) at a time, each table written aside, synced and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgeloop import optional
from edgeloop.data import schemas
from edgeloop.data.reader import gaps_columns
from edgeloop.decode import document
from edgeloop.durable import make_folder, place, remove, replace
from edgeloop.errors import EdgeloopError
from edgeloop.layout import GAPS, RAW
from edgeloop_tools.harness.single import single
from edgeloop_tools.lake import names
from edgeloop_tools.lake import records as said
from edgeloop_tools.lake.listing import PURPOSE, RECORDS, Day, days
from edgeloop_tools.lake.minutes import MINUTE, Minutes

LAKE: Final = "lake"
TABLES: Final = {"indicators_1m": MINUTE, "indicators_1h": 60 * MINUTE}
PART: Final = "part.parquet"
VERSION: Final = 1
"""Of what the tables hold: another one makes every day anew."""

_ENCODINGS: Final = {
    "compression": "zstd", "use_dictionary": ["device", "asset", "type", "stream", "clock", "channel", "indicator",
                                              "unit", "reason", "epoch", "monitor", "kind", "severity", "state",
                                              "by", "text", "id", "alarm", "group"],
    "version": "2.6",
}  # fmt: skip

Step = Callable[[str], None]


@dataclass(slots=True)
class Done:
    """Days made, left as they were, and held because raw files of theirs are gone; objects read; rows written."""

    made: int = 0
    same: int = 0
    held: int = 0
    objects: int = 0
    rows: int = 0

    def __str__(self) -> str:
        held = f", {self.held} held: raw files of theirs are gone" if self.held else ""
        return f"{self.made} days made of {self.objects} objects, {self.rows} rows; {self.same} unchanged{held}"


def compact(
    source: str, out: Path, *, say: Callable[[str], None] = lambda line: None, step: Step = lambda name: None
) -> Done:
    """Brings out/lake up to date with an upload; a kill at any time leaves each table of each day old or new.

    step: called between steps, with the name of the one that comes. Raises EdgeloopError.
    """
    done = Done()
    filesystem, found = days(source)
    if not found:
        raise EdgeloopError("nothing was uploaded here", where=source, mend="check the prefix: it holds raw/")
    lake = out / LAKE
    try:
        make_folder(lake, 0o755)
        with single(lake / ".lock", "another run compacts this lake"):
            for day in found:
                _day(filesystem, day, lake, done, say, step)
    except OSError as error:
        why = error.strerror or str(error)
        raise EdgeloopError("cannot compact", where=str(error.filename or lake), why=why) from error
    return done


def parts(out: Path, table: str) -> list[str]:
    """The files of a table of out/lake."""
    return sorted(str(path) for path in (out / LAKE / table).glob(f"site=*/date=*/{PART}"))


def _day(filesystem: Any, day: Day, lake: Path, done: Done, say: Callable[[str], None], step: Step) -> None:
    manifest = lake / "manifest" / f"site={day.site}" / f"{day.date}.json"
    state: dict[str, Any] = {"version": VERSION, "objects": day.state}
    known = _known(manifest)
    if known == state:
        done.same += 1
        return
    if gone := known.get("objects", {}).keys() - state["objects"].keys():
        done.held += 1
        say(f"{day.site} {day.date}: left as it is: {len(gone)} raw files of it are gone, so it cannot be made anew")
        return
    try:
        rows = _write(filesystem, day, lake, step)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise EdgeloopError("cannot read uploaded data", where=f"{day.site} {day.date}", why=str(error)) from error
    step(f"{day.date} manifest")
    make_folder(manifest.parent, 0o755)
    replace(manifest, json.dumps(state, sort_keys=True).encode(), 0o644)
    step(f"{day.date} end")
    done.made, done.objects, done.rows = done.made + 1, done.objects + len(day.objects), done.rows + rows
    say(f"{day.site} {day.date}: {len(day.objects)} objects, {rows} rows")


def _known(manifest: Path) -> dict[str, Any]:
    try:
        found = document(manifest.read_bytes(), what="the manifest", where=str(manifest))
    except FileNotFoundError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(filesystem: Any, day: Day, lake: Path, step: Step) -> int:
    """All tables of a day; the rows of them."""
    pa, pq = optional.load("pyarrow", PURPOSE), optional.load("pyarrow.parquet", PURPOSE)
    tables = (*TABLES, GAPS, *(said.TABLES if any(o.kind == RECORDS for o in day.objects) else ()))
    files = {name: _Aside(lake / name / f"site={day.site}" / f"date={day.date}" / PART) for name in tables}
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in day.objects:
        if item.kind == RAW:
            device = item.key.rpartition("/")[2].rsplit("_", 2)[0]
            groups.setdefault((item.parts["stream"], device), []).append(item)
    for _, objects in sorted(groups.items()):
        minutes = Minutes(filesystem)
        minutes.add(objects)
        for name, width in TABLES.items():
            files[name].add(pq, _table(pa, minutes, width))
    gaps = [item for item in day.objects if item.kind == GAPS]
    if gaps:
        files[GAPS].add(pq, _gaps(pa, pq, filesystem, gaps))
    if len(files) > len(TABLES) + 1:
        records = said.Records(filesystem)
        records.add([item for item in day.objects if item.kind == RECORDS])
        for name in said.TABLES:
            files[name].add(pq, records.table(pa, name))
    for name, file in files.items():
        step(f"{day.date} {name} sync")
        file.sync()
        step(f"{day.date} {name} rename")
        file.place()
    return sum(file.rows for file in files.values())


class _Aside:
    """A table that is written beside its place and then renamed to it; without rows there is none."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._new = path.with_name(f".{path.name}.new")
        self._writer: Any = None

    def add(self, pq: Any, table: Any) -> None:
        if not table.num_rows:
            return
        if self._writer is None:
            make_folder(self.path.parent, 0o755)
            words = [name for name in _ENCODINGS["use_dictionary"] if name in table.column_names]
            self._writer = pq.ParquetWriter(self._new, table.schema, **{**_ENCODINGS, "use_dictionary": words})
        self._writer.write_table(table)
        self.rows += table.num_rows

    def sync(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with self._new.open("rb") as file:
                os.fsync(file.fileno())

    def place(self) -> None:
        if self._writer is not None:
            place(self._new, self.path)
        else:
            remove(self.path)


def _table(pa: Any, minutes: Minutes, width: int) -> Any:
    columns: dict[str, list[Any]] = {field.name: [] for field in _schema(pa)}
    for (device, stream, clock, column, unit), found in sorted(minutes.found.items()):
        channel, indicator = names.measure(stream, column)
        asset = names.asset(stream)
        cells: dict[int, tuple[int, float, float, float]] = {}
        for minute, (n, total, least, most) in sorted(found.items()):
            n0, total0, least0, most0 = cells.get(minute // width * width, (0, 0.0, least, most))
            cells[minute // width * width] = (n0 + n, total0 + total, min(least0, least), max(most0, most))
        for time, (n, total, least, most) in cells.items():
            row = (time // 1000, device, asset, names.asset_type(asset), stream, clock, channel, indicator, unit)
            for name, value in zip(columns, (*row, n, total / n, least, most), strict=True):
                columns[name].append(value)
    return pa.table(columns, schema=_schema(pa))


def _schema(pa: Any) -> Any:
    words = ("device", "asset", "type", "stream", "clock", "channel", "indicator", "unit")
    return pa.schema(
        [
            ("time", pa.timestamp("us", "UTC")),
            *((name, pa.string()) for name in words),
            ("n", pa.int64()),
            *((name, pa.float64()) for name in ("mean", "min", "max")),
        ]
    )


def _gaps(pa: Any, pq: Any, filesystem: Any, objects: list[Any]) -> Any:
    """Declared gaps, each once; the epoch as 16 hexadecimal digits, of schema 1 too."""
    schema = pa.schema(gaps_columns(pa))
    tables = []
    for item in objects:
        table = pq.read_table(item.path, filesystem=filesystem, partitioning=None, use_threads=False)
        table = schemas.numbered(table)
        epochs = pa.array([f"{epoch:016x}" for epoch in table.column("epoch").to_pylist()], pa.string())
        times = table.column("time").cast(pa.timestamp("us", "UTC"), safe=False)
        table = table.set_column(table.schema.get_field_index("epoch"), "epoch", epochs)
        table = table.set_column(table.schema.get_field_index("time"), "time", times)
        tables.append(table.select(schema.names).cast(schema))
    whole = pa.concat_tables(tables)
    once = whole.group_by(schema.names, use_threads=False).aggregate([])
    return once.sort_by([(name, "ascending") for name in schema.names])
