"""What operators said, read back from uploaded records or from a device's own file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgeloop import optional
from edgeloop.alarms.labels import Label
from edgeloop.alarms.labels import labels as from_records
from edgeloop.data.reader import Time, nanoseconds, open_source
from edgeloop.errors import EdgeloopError

RECORDS = "records"
KINDS = ("kind=alarms", "kind=labels")


def labels(source: str | Path, stream: str = "", start: Time = None, end: Time = None) -> list[Label]:
    """The newest label of each acknowledged alarm that touches [start, end), by start.

    source: a folder or s3://bucket/prefix, that of `records`, of `raw` beside it or the one above both; or a file
    `alarms.jsonl`. stream: only this one's. start, end: as of `read`. Raises EdgeloopError where there is nothing.
    """
    first, last = nanoseconds(start), nanoseconds(end)
    found = from_records(_lines(source), stream)
    return [x for x in found if (first is None or x.end >= first) and (last is None or x.start < last)]


def _lines(source: str | Path) -> Iterator[bytes]:
    fs = optional.load("pyarrow.fs", "reading uploaded data")
    filesystem, top = open_source(fs, str(source))
    top = top.rstrip("/")
    base, _, name = top.rpartition("/")
    if RECORDS not in top.split("/") and not top.endswith(".jsonl"):
        top = f"{base}/{RECORDS}" if name in ("raw", "gaps") else f"{top}/{RECORDS}"
    try:
        whole = filesystem.get_file_info(top)
        if whole.type == fs.FileType.File:
            paths = [top]
        else:
            there = filesystem.get_file_info(fs.FileSelector(top, recursive=True, allow_not_found=True))
            paths = sorted(i.path for i in there if i.path.endswith(".jsonl") and any(k in i.path for k in KINDS))
        if not paths:
            mend = "check the prefix; records go there where no stream of Kinesis is configured"
            raise EdgeloopError("there are no labels", where=str(source), mend=mend)
        for path in paths:
            with filesystem.open_input_stream(path) as file:
                yield from file.read().splitlines()
    except OSError as error:
        raise EdgeloopError("cannot read labels", where=str(source), why=str(error)) from error
