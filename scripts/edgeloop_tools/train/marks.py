"""What people said about times: labels of alarms, or a table of intervals."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

from edgeloop import data
from edgeloop.alarms.alarm import Reason
from edgeloop.alarms.labels import Label
from edgeloop.data.reader import nanoseconds
from edgeloop.errors import EdgeloopError

COLUMNS = ("start", "end", "reason")


def read(source: str, stream: str = "") -> list[Label]:
    """Labels of a stream: from `alarms.jsonl`, uploaded records, or a CSV file with columns start, end (ISO 8601) and
    reason. A folder with one such file stands for it. Raises EdgeloopError naming file and line."""
    path = Path(source)
    if not source.startswith("s3://") and path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".csv", ".jsonl"))
        path = files[0] if len(files) == 1 else path
    if path.suffix.lower() == ".csv" and not source.startswith("s3://"):
        return _table(path, stream)
    return data.labels(str(path) if not source.startswith("s3://") else source, stream)


def _table(path: Path, stream: str) -> list[Label]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
            if lacking:
                raise EdgeloopError("cannot use the labels", where=str(path), why=f"no column {', '.join(lacking)}",
                                    mend="give start,end,reason")  # fmt: skip
            return [_label(row, f"{path} line {reader.line_num}", stream) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EdgeloopError("cannot read the labels", where=str(path), why=str(error), mend="check the file") from None


def _label(row: dict[str, str], where: str, stream: str) -> Label:
    reason = (row["reason"] or "").strip()
    if reason not in get_args(Reason):
        raise EdgeloopError(
            "no such reason", where=where, why=repr(reason), mend=f"one of {', '.join(get_args(Reason))}"
        )
    try:
        start, end = (nanoseconds((row[c] or "").strip()) for c in ("start", "end"))
    except EdgeloopError as error:
        raise EdgeloopError("cannot use the labels", where=where, why=str(error)) from None
    if start is None or end is None or end < start:
        raise EdgeloopError("an interval ends before it starts", where=where, mend="exchange start and end")
    return Label(
        alarm=where, monitor="", asset="", kind="process", stream=stream, epoch=0, first=0, last=-1, start=start,
        end=end, reason=reason, by="", time=end, open=False,  # type: ignore[arg-type]
    )  # fmt: skip
