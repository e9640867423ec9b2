"""SageMaker Ground Truth's manifests, in and out: classification, boxes, and the input manifest of unlabelled pictures.

Source: "Output data" and "Input data" of SageMaker Ground Truth's developer guide. The service takes no new customers;
its format is what SageMaker's training jobs and many tools read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edgeloop.errors import EdgeloopError
from edgeloop_tools.label.dataset import ABOUT, JOB, Box, DataSet, Item, Polygon, sound

CLASSIFICATION: Final = "groundtruth/image-classification"
BOXES: Final = "groundtruth/object-detection"
LONGEST: Final = 4 << 20
"""Bytes of a line."""


def read_manifest(path: Path, classes: tuple[str, ...] = (), attribute: str = "") -> DataSet:
    """attribute: of the labels, where a manifest has several. Raises EdgeloopError for what is no manifest; a line that
    cannot be used is left out, and told."""
    lines: list[str] = []
    items = []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    items.append(_item(text, attribute))
                except (ValueError, KeyError, TypeError, IndexError) as error:
                    lines.append(f"{path.name} line {number}: left out: {error}")
    except OSError as error:
        raise EdgeloopError("cannot read the manifest", where=str(path), why=error.strerror or str(error)) from None
    if not items:
        why = lines[0] if lines else "it is empty"
        raise EdgeloopError("not a manifest", where=str(path), why=why, mend='a line is {"source-ref": "…"}')
    about = _about(path.parent / ABOUT)
    known = list(classes) or list(about.get("classes", ()))
    found = list(sound(items, known, lines))
    names = known or sorted({i.label for i in found} | {b.label for i in found for b in i.boxes} - {""})
    names = [name for name in names if name]
    return DataSet(path.parent, found, names, dict(about.get("splits", {})), lines)


def _about(path: Path) -> dict[str, Any]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _item(text: str, attribute: str) -> Item:
    if len(text) > LONGEST:
        raise ValueError("longer than 4 MiB")
    row = json.loads(text)
    if not isinstance(row, dict) or not isinstance(row.get("source-ref"), str):
        raise ValueError("no source-ref")
    label, by, when = "", "", 0
    boxes: list[Box] = []
    size = (0, 0)
    for name, said in row.items():
        meta = row.get(f"{name}-metadata")
        if not isinstance(meta, dict) or (attribute and name not in (attribute, f"{attribute}-boxes")):
            continue
        by, when = str(meta.get("by", by)), _time(meta.get("creation-date")) or when
        kind = meta.get("type", "")
        if kind == BOXES or (isinstance(said, dict) and "annotations" in said):
            names = {str(k): str(v) for k, v in dict(meta.get("class-map", {})).items()}
            first = (said.get("image_size") or [{}])[0]
            size = (int(first.get("width", 0)), int(first.get("height", 0)))
            boxes += [
                Box(names.get(str(b["class_id"]), str(b["class_id"])), float(b["left"]), float(b["top"]),
                    float(b["width"]), float(b["height"]))
                for b in said["annotations"]
            ]  # fmt: skip
        elif "class-name" in meta:
            label = str(meta["class-name"])
        elif isinstance(said, str) and kind == CLASSIFICATION:
            label = said
    polygons = tuple(Polygon(str(p["label"]), tuple(map(float, p["points"]))) for p in row.get(f"{JOB}-polygons", ()))
    about = row.get("about", {})
    about = about if isinstance(about, dict) else {}
    return Item(row["source-ref"], label, tuple(boxes), polygons, size, by, when, about)


def _time(text: Any) -> int:
    """ns UTC; 0 where it says none."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return 0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1e6) * 1000


def lines_of(data: DataSet) -> Iterator[str]:
    number = {name: k for k, name in enumerate(data.classes)}
    for item in data.items:
        row: dict[str, Any] = {"source-ref": item.source}
        when = datetime.fromtimestamp(item.time / 1e9, UTC).isoformat() if item.time else None
        common: dict[str, Any] = {"human-annotated": "yes", "job-name": JOB, "by": item.by}
        if when:
            common["creation-date"] = when
        if item.label:
            row[JOB] = number.get(item.label, len(number))
            row[f"{JOB}-metadata"] = {"class-name": item.label, "confidence": 1, "type": CLASSIFICATION, **common}
        if item.boxes:
            row[f"{JOB}-boxes"] = {
                "image_size": [{"width": item.size[0], "height": item.size[1], "depth": 3}],
                "annotations": [
                    {"class_id": number.get(b.label, len(number)), "left": b.x, "top": b.y, "width": b.width,
                     "height": b.height}
                    for b in item.boxes
                ],
            }  # fmt: skip
            row[f"{JOB}-boxes-metadata"] = {
                "class-map": {str(k): name for name, k in number.items()}, "type": BOXES,
                "objects": [{"confidence": 1} for _ in item.boxes], **common,
            }  # fmt: skip
        if item.polygons:
            row[f"{JOB}-polygons"] = [{"label": p.label, "points": list(p.points)} for p in item.polygons]
        if item.about:
            row["about"] = item.about
        yield json.dumps(row)
