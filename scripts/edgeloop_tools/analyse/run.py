"""Runs an analysis: lake → Ibis expression on DuckDB or Spark → the function over it → table, findings, page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeloop import optional
from edgeloop.data.reader import nanoseconds
from edgeloop.durable import make_folder, place
from edgeloop.errors import EdgeloopError
from edgeloop.layout import date
from edgeloop_tools.analyse import findings, page
from edgeloop_tools.analyse.definition import Analysis, Answer, load
from edgeloop_tools.analyse.engines import PURPOSE, Engine, opened
from edgeloop_tools.harness.single import single
from edgeloop_tools.lake.compact import LAKE, compact, parts


@dataclass(frozen=True, slots=True)
class Done:
    rows: int
    findings: int
    assets: int
    notes: tuple[str, ...]
    out: Path

    def __str__(self) -> str:
        lines = [f"{self.rows} rows, {self.findings} findings on {self.assets} assets: {self.out}"]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def run(
    name: str,
    data: str,
    out: Path,
    *,
    since: str | None = None,
    given: Sequence[str] = (),
    report: Path | None = None,
    valid: int = findings.VALID,
    engine: str = "duckdb",
    say: Callable[[str], None] = lambda line: None,
) -> Done:
    """data: an upload, which is compacted into out/lake first, or a folder with lake/. valid: days for which findings
    hold. Raises EdgeloopError."""
    analysis = load(name)
    parameters = analysis.parameters(given)
    first = nanoseconds(since)
    try:
        make_folder(out, 0o755)
    except OSError as error:
        raise EdgeloopError("cannot write the results", where=str(out), why=error.strerror or "") from error
    with single(out / ".lock", "another analysis writes here"):
        return _run(analysis, parameters, first, data, out, report, valid, engine, say)


def _run(
    analysis: Analysis,
    parameters: dict[str, Any],
    first: int | None,
    data: str,
    out: Path,
    report: Path | None,
    valid: int,
    engine: str,
    say: Callable[[str], None],
) -> Done:
    lake = Path(data)
    if data.startswith("s3://") or not (lake / LAKE).is_dir():
        say(f"lake: {compact(data, out)}")
        lake = out
    answer, assets = answered(analysis, lake, parameters, first, engine)
    try:
        folder = out / analysis.name
        make_folder(folder, 0o755)
        _table(folder / "table.parquet", answer.rows)
        count = findings.write(out / "findings", analysis, answer.findings, assets, valid)
        if report is not None:
            make_folder(report.absolute().parent, 0o755)
            page.write(report, analysis, parameters, answer, assets)
    except OSError as error:
        where = str(error.filename or out)
        raise EdgeloopError("cannot write the results", where=where, why=error.strerror or "") from error
    return Done(len(answer.rows), count, len(assets), tuple(answer.notes), folder)


def answered(
    analysis: Analysis, lake: Path, parameters: dict[str, Any], first: int | None = None, engine: str = "duckdb"
) -> tuple[Answer, list[tuple[str, str]]]:
    """The answer, and every (site, asset) that was looked at. first: ns UTC. Raises EdgeloopError."""
    frame, looked = asked(analysis, lake, parameters, first, engine)
    if not len(frame):
        raise EdgeloopError("nothing to analyse", where=analysis.name, why="no row is of what it asks", mend="see -p")
    answer: Answer = analysis.module.fit(frame, parameters)
    return answer, looked


def asked(
    analysis: Analysis, lake: Path, parameters: dict[str, Any], first: int | None = None, engine: str = "duckdb"
) -> tuple[Any, list[tuple[str, str]]]:
    """What the engine makes of the lake: the frame that `fit` is given, times in UTC, and (site, asset) looked at."""
    with opened(engine) as opener:
        tables = {name: _bound(opener, lake, name, first) for name in analysis.tables}
        looked = tables[analysis.tables[-1]].select("site", "asset").distinct().order_by(["site", "asset"]).execute()
        frame = analysis.module.job(tables, parameters).execute()
    for name in frame.columns:
        if str(frame[name].dtype).startswith("datetime64") and frame[name].dt.tz is None:
            frame[name] = frame[name].dt.tz_localize("UTC")
    return frame, [(str(site), str(asset)) for site, asset in looked.itertuples(index=False)]


def _bound(engine: Engine, lake: Path, table: str, first: int | None) -> Any:
    """A table of the lake, from a time on. Raises EdgeloopError where there is none."""
    there = [p for p in parts(lake, table) if first is None or _date(p) >= date(first - 86_400 * 1_000_000_000)]
    if not there:
        raise EdgeloopError("nothing to analyse", where=f"{lake}: {table}", mend="check --data and --since")
    bound = engine.read(table, there)
    if "clock" in bound.columns:
        bound = bound.filter(bound.clock == "synced")
    if first is not None:
        ibis, pandas = optional.load("ibis", PURPOSE), optional.load("pandas", PURPOSE)
        bound = bound.filter(bound.time >= ibis.literal(pandas.Timestamp(first, unit="ns", tz="UTC")))
    return bound


def _date(path: str) -> str:
    return path.rpartition("/date=")[2].partition("/")[0]


def _table(path: Path, rows: Any) -> None:
    pa, pq = optional.load("pyarrow", PURPOSE), optional.load("pyarrow.parquet", PURPOSE)
    new = path.with_name(f".{path.name}.new")
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), new, compression="zstd")
    place(new, path)
