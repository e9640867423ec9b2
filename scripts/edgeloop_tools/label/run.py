"""What `label` does: imports, exports, likely wrong labels, the page."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from edgeloop.errors import EdgeloopError
from edgeloop_tools.label import formats
from edgeloop_tools.label.commands import FORMATS
from edgeloop_tools.label.dataset import DataSet, read, write
from edgeloop_tools.label.groundtruth import read_manifest

SHOWN = 20
"""Lines of what was left out."""


def run(arguments: argparse.Namespace) -> int:
    classes = [name for name in arguments.classes.replace(",", " ").split() if name]
    where: Path = arguments.data
    if arguments.bring:
        data = _brought(arguments.bring, arguments.pictures)
        _tell(data)
        print(f"{write(data, where)}: {len(data.items)} pictures, {len(data.classes)} classes")
        return 0
    data = read(where, classes)
    data.classes = classes or data.classes
    _tell(data)
    doubts = likely_wrong(data) if arguments.wrong else []
    worth = most_taught(data, arguments.next) if arguments.next > 0 else []
    if arguments.export:
        name, file = _pair(arguments.export, "--export")
        if name == "groundtruth":
            write(data, file)
        else:
            formats.WRITERS[name](data, file)
        print(f"{file}: {len(data.items)} pictures, {sum(bool(i.kind) for i in data.items)} labelled")
        return 0
    if arguments.serve:
        from edgeloop_tools.label.page import serve

        order = list(dict.fromkeys([*(place for place, _ in doubts), *worth]))
        return serve(data, order, arguments.port, arguments.listen, arguments.password_file)
    if worth and not arguments.json:
        for place in worth:
            print(data.items[place].source)
        return 0
    if arguments.json:
        kinds = Counter(i.kind for i in data.items)
        wrong = [{"source": data.items[k].source, "label": data.items[k].kind, "doubt": round(d, 3)} for k, d in doubts]
        print(json.dumps({"pictures": len(data.items), "labels": dict(kinds), "digest": data.digest(), "wrong": wrong,
                          "next": [data.items[k].source for k in worth]}))  # fmt: skip
    elif arguments.wrong:
        for place, doubt in doubts[: max(SHOWN, len(doubts) // 5)]:
            print(f"{doubt:7.2f}  {data.items[place].kind:16} {data.items[place].source}")
    else:
        for name, count in Counter(i.kind or "(no label)" for i in data.items).most_common():
            print(f"{count:7}  {name}")
    return 0


def likely_wrong(data: DataSet) -> list[tuple[int, float]]:
    """Places of labelled pictures and how doubtful each label is, most doubtful first. Raises EdgeloopError."""
    from edgeloop_tools.train.images import learn
    from edgeloop_tools.train.images.run import check, describe

    labelled = [k for k, item in enumerate(data.items) if item.kind]
    found = describe(data, [data.items[k] for k in labelled])
    check(found)
    logits = learn.held_out(found.x, found.y, len(found.classes), found.groups)
    doubts = learn.doubt(logits / learn.temperature(logits, found.y), found.y)
    place = {data.items[k].source: k for k in labelled}
    order = np.argsort(-doubts)
    return [(place[found.items[int(k)].source], float(doubts[int(k)])) for k in order]


def most_taught(data: DataSet, count: int) -> list[int]:
    """Places of the pictures without a label that are worth one most: half of them, the oldest first, of the share that
    was kept at random, which alone tells what the line is like; the others are those that teach most. Raises
    EdgeloopError where none can be read."""
    from edgeloop_tools.train.images import learn
    from edgeloop_tools.train.images.mix import at_random
    from edgeloop_tools.train.images.run import describe

    found = describe(data, data.items)
    place = {item.source: k for k, item in enumerate(data.items)}
    chance = [k for k, item in enumerate(found.items) if not item.kind and at_random(item)]
    others = np.setdiff1d(np.arange(len(found.items)), chance)
    labelled = np.array([at for at, k in enumerate(others) if found.items[k].kind], np.intp)
    half = max(count - count // 2, count - (len(others) - len(labelled)))
    chance = sorted(chance, key=lambda k: (int(found.items[k].about.get("time") or 0), k))[:half]
    chosen = learn.next_to_label(
        found.x[others], labelled, found.y[others[labelled]], len(found.classes), count - len(chance),
        np.random.default_rng(0),
    )  # fmt: skip
    return [place[found.items[int(k)].source] for k in (*chance, *others[chosen])]


def _brought(text: str, pictures: Path | None) -> DataSet:
    name, file = _pair(text, "--import")
    if not file.exists():
        raise EdgeloopError("there is no such file of labels", where=str(file), mend="correct its path")
    return read_manifest(file) if name == "groundtruth" else formats.READERS[name](file, pictures)


def _pair(text: str, where: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if name not in FORMATS or not file:
        raise EdgeloopError("no format of labels", where=where, why=repr(text), mend=f"{'|'.join(FORMATS)}=FILE")
    return name, Path(file)


def _tell(data: DataSet) -> None:
    for line in data.lines[:SHOWN]:
        print(line, file=sys.stderr)
    if len(data.lines) > SHOWN:
        print(f"… and {len(data.lines) - SHOWN} more lines like these", file=sys.stderr)
