"""Lines of a status for people and for programs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from edgeloop_tools.status.lines import Line

HEAD = ("", "WHAT", "NAME", "STATE", "SINCE", "RESTARTS", "MB")


def print_json(lines: Sequence[Line]) -> None:
    for line in lines:
        print(json.dumps(line.document(), ensure_ascii=False))


def print_table(lines: Sequence[Line]) -> None:
    rows = [HEAD, *(_row(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    room = max(40, shutil.get_terminal_size((160, 0)).columns - sum(widths) - 2 * len(widths))
    for at, row in enumerate(rows):
        text = lines[at - 1].words if at else ""
        if len(text) > room and at and lines[at - 1].ok:
            text = text[: room - 1] + "…"
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([*cells, text]).rstrip())
    wrong = sum(not line.ok for line in lines)
    print(f"{wrong} of {len(lines)} not ok" if wrong else f"all {len(lines)} ok")


def _row(line: Line) -> tuple[str, ...]:
    restarts = "" if line.restarts is None else str(line.restarts)
    mb = "" if line.mb is None else f"{line.mb:.0f}"
    since = "" if line.since_s is None else ago(line.since_s)
    return (" " if line.ok else "!", line.what, line.name, line.state, since, restarts, mb)


def ago(seconds: float) -> str:
    """
    >>> ago(90), ago(3 * 3600), ago(0.2)
    ('1 min', '3 h', '0 s')
    """
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
