"""`edgeloop export`."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from edgeloop.clock import rfc3339
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from edgeloop.journal import directory
from edgeloop.tables import times
from edgeloop_tools.core.daemon import default_root
from edgeloop_tools.export.files import CsvFile, NpyFile, ParquetFile, Writer
from edgeloop_tools.export.source import Account, samples, streams

FORMS = (".csv", ".parquet", ".npy")


def run(arguments: argparse.Namespace) -> int | None:
    journal = directory((arguments.root or default_root()).absolute())
    output = arguments.output
    if output != "-" and Path(output).suffix not in FORMS:
        raise EdgeloopError("unknown form of file", where=output, mend=f"end its name with one of {', '.join(FORMS)}")
    start, end = _time("--start", arguments.start), _time("--end", arguments.end)
    known = streams(journal)
    if arguments.stream not in known:
        there = ", ".join(sorted(known)) or "none"
        raise EdgeloopError("the journal has no such stream", where=arguments.stream, mend=f"streams: {there}")
    if arguments.last:
        newest = known[arguments.stream] + 1 if end is None else end
        start = max(start or 0, newest - _span(arguments.last))
    account = Account()
    with _opened(output, raw=arguments.raw) as writer:
        for item in samples(journal, arguments.stream, start, end, account):
            writer.write(item)
        if not account.rows:
            where = f"{arguments.stream}, whose newest sample is of {rfc3339(known[arguments.stream])}"
            raise EdgeloopError("there are no samples of these times", where=where, mend="ask for other times")
    _tell(arguments, account)
    return None


@contextmanager
def _opened(output: str, *, raw: bool) -> Iterator[Writer]:
    """A file that is there, whole, only when all went well."""
    if output == "-":
        writer: Writer = CsvFile(sys.stdout, raw=raw)
        yield writer
        writer.close()
        return
    path = Path(output)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with new.open("xb") as file:
            if path.suffix == ".csv":
                text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
                writer = CsvFile(text, raw=raw)
                yield writer
                writer.close()
                text.detach()
            else:
                writer = ParquetFile(file, raw=raw) if path.suffix == ".parquet" else NpyFile(file, raw=raw)
                yield writer
                writer.close()
        new.replace(path)
    except OSError as error:
        raise EdgeloopError("cannot write the file", where=output, why=error.strerror or str(error)) from error
    finally:
        new.unlink(missing_ok=True)


def _tell(arguments: argparse.Namespace, account: Account) -> None:
    """On standard error: standard output may be the data."""
    if arguments.json:
        print(json.dumps({"stream": arguments.stream, "output": arguments.output, **asdict(account)}), file=sys.stderr)
        return
    span = f"{rfc3339(account.first or 0)} to {rfc3339(account.last or 0)}"
    trouble = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in (
            (account.steps, "gap"), (account.missing, "missing sample"), (account.dropped, "dropped sample"),
            (account.damaged, "unreadable place"),
        )
        if count
    ]  # fmt: skip
    print(f"{account.rows} samples of {arguments.stream}, {span}; {', '.join(trouble) or 'no gaps'}", file=sys.stderr)


def _time(option: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return times.iso(text)
    except ValueError as error:
        raise EdgeloopError(
            f"{option} is no time", where=text, why=str(error), mend="such as 2026-03-01T08:00"
        ) from None


def _span(text: str) -> int:
    try:
        return int(Duration(text))
    except ValueError as error:
        raise EdgeloopError("--last is no span of time", where=text, why=str(error), mend="such as 10m or 2h") from None
