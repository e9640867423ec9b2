"""A data set of labelled pictures: a folder with `dataset.manifest`, `dataset.json`, the pictures or where they lie.

`dataset.manifest` is Ground Truth's augmented manifest, a JSON object a line; `dataset.json` names classes, digests and
splits. Lines are read one by one: a hundred thousand cost a few hundred bytes each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from camera_inference.sources import STILLS
from edgeloop.errors import EdgeloopError

MANIFEST: Final = "dataset.manifest"
ABOUT: Final = "dataset.json"
SCHEMA: Final = 2
JOB: Final = "edgeloop"
"""Name of the label's attribute where it is written here."""


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the stored picture, upright: left, top, width, height."""

    label: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """points: x, y in turn, pixels of the stored picture."""

    label: str
    points: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One picture. source: a path, relative to the data set where it is below it, or s3://…; label: "" where none;
    size: width and height, 0 where not known; by, time (ns): who set the label and when. about: site, part, device,
    time and whatever else came with it."""

    source: str
    label: str = ""
    boxes: tuple[Box, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    size: tuple[int, int] = (0, 0)
    by: str = ""
    time: int = 0
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Its label, or that of its first box."""
        return next((name for name in (self.label, *self.marked) if name), "")

    @property
    def marked(self) -> tuple[str, ...]:
        """Labels of boxes and polygons."""
        return (*(b.label for b in self.boxes), *(p.label for p in self.polygons))


@dataclass
class DataSet:
    """root: what sources are relative to. lines: about what was left out."""

    root: Path
    items: list[Item]
    classes: list[str]
    splits: dict[str, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def path(self, item: Item) -> Path:
        return Path(item.source) if item.source.startswith("/") else self.root / item.source

    def digest(self) -> str:
        """Of what is labelled how; the order does not matter."""
        rows = sorted(
            json.dumps([i.source, i.label, [[b.label, *map(float, (b.x, b.y, b.width, b.height))] for b in i.boxes],
                        [[p.label, *map(float, p.points)] for p in i.polygons]], sort_keys=True)
            for i in self.items
        )  # fmt: skip
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def read(where: Path, classes: Iterable[str] = ()) -> DataSet:
    """A folder with a manifest, a manifest, or a folder with one folder of pictures for each class (`unlabelled` and
    pictures at the top have no label). Raises EdgeloopError."""
    if where.is_dir() and (where / MANIFEST).is_file():
        where = where / MANIFEST
    if where.is_file():
        from edgeloop_tools.label.groundtruth import read_manifest

        return read_manifest(where, tuple(classes))
    if not where.is_dir():
        raise EdgeloopError("there is no such data set", where=str(where), mend="name a folder or a manifest")
    return _folders(where)


def _folders(root: Path) -> DataSet:
    items = []
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in STILLS and p.is_file()):
        inside = path.relative_to(root)
        label = inside.parts[0] if len(inside.parts) > 1 else ""
        items.append(Item(str(inside), "" if label == "unlabelled" else label, about=sidecar(path)))
    if not items:
        raise EdgeloopError("the data set has no pictures", where=str(root), why="none is called *.jpg, *.png, …")
    return DataSet(root, items, sorted({i.label for i in items} - {""}))


def sidecar(path: Path) -> dict[str, Any]:
    """What is said beside a picture: a hard example's prediction, in the queue's envelope or without it."""
    for beside in (path.with_suffix(".json"), Path(f"{path}.json")):
        if beside.is_file() and beside.stat().st_size < 1 << 20:
            try:
                said = json.loads(beside.read_text())
            except ValueError:
                continue
            if isinstance(said, dict):
                inside = said.get("document")
                return {"time": said.get("time", 0), **inside} if isinstance(inside, dict) else said
    return {}


def write(data: DataSet, folder: Path) -> Path:
    """Manifest and description, each in one step; the pictures stay where they are."""
    from edgeloop_tools.label.groundtruth import lines_of

    folder.mkdir(parents=True, exist_ok=True)
    moved = replace_root(data, folder)
    _put(folder / MANIFEST, "".join(f"{line}\n" for line in lines_of(moved)))
    about = {
        "schema": SCHEMA, "classes": moved.classes, "pictures": len(moved.items),
        "labelled": sum(bool(i.kind) for i in moved.items), "digest": moved.digest(), "splits": moved.splits,
    }  # fmt: skip
    _put(folder / ABOUT, json.dumps(about, indent=1) + "\n")
    return folder / MANIFEST


def replace_root(data: DataSet, folder: Path) -> DataSet:
    """The same with sources relative to another folder."""
    if folder.absolute() == data.root.absolute():
        return data
    items = []
    for item in data.items:
        if item.source.startswith("s3://"):
            items.append(item)
            continue
        path = data.path(item).absolute()
        inside = path.relative_to(folder.absolute()) if path.is_relative_to(folder.absolute()) else path
        items.append(replace(item, source=str(inside)))
    return DataSet(folder, items, data.classes, data.splits, data.lines)


def _put(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


def sound(items: Iterable[Item], classes: list[str], lines: list[str]) -> Iterator[Item]:
    """Items whose boxes lie in their pictures and whose labels are classes; what does not is said in a line."""
    known = set(classes)
    for item in items:
        label = item.label
        if known and label and label not in known:
            lines.append(f"{item.source}: {label!r} is no class of this data set: its label was left out")
            label = ""
        boxes = []
        for box in item.boxes:
            cut = _within(box, item.size)
            if cut is None:
                lines.append(f"{item.source}: a box of {box.label!r} lies outside the picture: it was left out")
            elif known and box.label not in known:
                lines.append(f"{item.source}: {box.label!r} is no class of this data set: its box was left out")
            else:
                boxes.append(cut)
        yield replace(item, label=label, boxes=tuple(boxes))


def _within(box: Box, size: tuple[int, int]) -> Box | None:
    """Cut at the picture's edge, where its size is known.

    >>> _within(Box("a", -5, 2, 10, 10), (100, 8))
    Box(label='a', x=0, y=2, width=5, height=6)
    """
    width, height = size
    if box.width <= 0 or box.height <= 0:
        return None
    if not width:
        return box
    left, top = max(0, box.x), max(0, box.y)
    right, bottom = min(width, box.x + box.width), min(height, box.y + box.height)
    if right <= left or bottom <= top:
        return None
    return Box(box.label, left, top, right - left, bottom - top)
