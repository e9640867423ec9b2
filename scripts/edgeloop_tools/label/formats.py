"""Other programs' labels, in and out: COCO, YOLO, CVAT for images, Label Studio.

Sources: the COCO data format (cocodataset.org), Ultralytics' data set format, CVAT's XML annotation format 1.1,
Label Studio's JSON export.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from camera_inference.headers import header
from camera_inference.sources import STILLS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.label.dataset import Box, DataSet, Item, Polygon, sound

LARGEST: Final = 2 << 30
"""Bytes of a file of labels."""


def measured(path: Path) -> tuple[int, int]:
    """Width and height of a file's picture, upright; 0, 0 where it cannot be told."""
    try:
        with path.open("rb") as file:
            known = header(file.read(1 << 18), str(path))
    except (OSError, EdgeloopError):
        return 0, 0
    return (known.height, known.width) if known.rotated else (known.width, known.height)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise EdgeloopError("the labels are too large", where=str(path), why=f"over {LARGEST:,} B")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeloopError("cannot read the labels", where=str(path), why=str(error)) from None


def _made(root: Path, items: list[Item], classes: list[str], lines: list[str]) -> DataSet:
    kept = []
    for item in items:
        path = Path(item.source) if item.source.startswith("/") else root / item.source
        if not item.source.startswith("s3://") and not path.is_file():
            lines.append(f"{item.source}: there is no such picture: it was left out")
        else:
            kept.append(item)
    if not kept:
        why = lines[0] if lines else "no item"
        mend = "name their folder with --pictures"
        raise EdgeloopError("no picture of these labels is there", where=str(root), why=why, mend=mend)
    return DataSet(root, list(sound(kept, classes, lines)), classes, lines=lines)


def read_coco(path: Path, pictures: Path | None) -> DataSet:
    root = pictures or path.parent
    try:
        whole = json.loads(_text(path))
        names = {int(c["id"]): str(c["name"]) for c in whole["categories"]}
        images = {int(i["id"]): i for i in whole["images"]}
        boxes: dict[int, list[Box]] = {}
        polygons: dict[int, list[Polygon]] = {}
        for each in whole["annotations"]:
            owner, label = int(each["image_id"]), names[int(each["category_id"])]
            found = each.get("segmentation")
            if isinstance(found, list) and found:
                polygons.setdefault(owner, []).extend(Polygon(label, tuple(map(float, ring))) for ring in found)
            elif "bbox" in each:
                boxes.setdefault(owner, []).append(Box(label, *map(float, each["bbox"])))
        items = [
            Item(str(i["file_name"]), str(i.get("label", "")), tuple(boxes.get(key, ())), tuple(polygons.get(key, ())),
                 (int(i.get("width", 0)), int(i.get("height", 0))))
            for key, i in images.items()
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise _no("COCO", path, error) from None
    return _made(root, items, list(names.values()), [])


def write_coco(data: DataSet, path: Path) -> None:
    number = {name: k for k, name in enumerate(data.classes, 1)}
    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for key, item in enumerate(data.items, 1):
        width, height = item.size if item.size[0] else measured(data.path(item))
        row: dict[str, Any] = {"id": key, "file_name": item.source, "width": width, "height": height}
        images.append(row | ({"label": item.label} if item.label else {}))
        for box in item.boxes:
            found.append({"category_id": number[box.label], "bbox": [box.x, box.y, box.width, box.height],
                          "area": box.width * box.height})  # fmt: skip
        for polygon in item.polygons:
            x, y = polygon.points[::2], polygon.points[1::2]
            span = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
            found.append({"category_id": number[polygon.label], "bbox": span, "segmentation": [list(polygon.points)],
                          "area": _area(x, y)})  # fmt: skip
        for each in found:
            each.setdefault("image_id", key)
    for key, each in enumerate(found, 1):
        each |= {"id": key, "iscrowd": 0}
    categories = [{"id": k, "name": name} for name, k in number.items()]
    path.write_text(json.dumps({"images": images, "annotations": found, "categories": categories}))


def _area(x: tuple[float, ...], y: tuple[float, ...]) -> float:
    n = len(x)
    return abs(sum(x[k] * y[(k + 1) % n] - x[(k + 1) % n] * y[k] for k in range(n))) / 2


def read_yolo(path: Path, pictures: Path | None) -> DataSet:
    """path: the folder with `data.yaml` or `classes.txt`; pictures below `images`, labels below `labels`."""
    import yaml

    classes = path / "classes.txt"
    try:
        if (path / "data.yaml").is_file():
            named = yaml.safe_load(_text(path / "data.yaml"))["names"]
            names = [str(named[k]) for k in sorted(named)] if isinstance(named, dict) else [str(n) for n in named]
        else:
            names = [line.strip() for line in _text(classes).splitlines() if line.strip()]
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise _no("YOLO", path, error) from None
    root = pictures or path
    items, lines = [], []
    for picture in sorted(p for p in root.rglob("*") if p.suffix.lower() in STILLS):
        width, height = measured(picture)
        inside = picture.relative_to(root)
        places = (path / _beside(inside), picture.with_suffix(".txt"))
        beside = next((p for p in places if p.is_file()), None)
        boxes: list[Box] = []
        polygons: list[Polygon] = []
        for number, line in enumerate(_text(beside).splitlines() if beside else (), 1):
            try:
                kind, *rest = line.split()
                label, values = names[int(kind)], [float(v) for v in rest]
                if len(values) == 4:
                    x, y, w, h = values
                    boxes.append(Box(label, (x - w / 2) * width, (y - h / 2) * height, w * width, h * height))
                elif len(values) >= 6 and not len(values) % 2:
                    scaled = tuple(v * (height if k % 2 else width) for k, v in enumerate(values))
                    polygons.append(Polygon(label, scaled))
                else:
                    raise ValueError(f"{len(values)} numbers")
            except (ValueError, IndexError) as error:
                lines.append(f"{beside} line {number}: left out: {error}")
        items.append(Item(str(inside), "", tuple(boxes), tuple(polygons), (width, height)))
    return _made(root, items, names, lines)


def _beside(picture: Path) -> Path:
    """Where the labels of a picture lie.

    >>> str(_beside(Path("images/a/1.png"))), str(_beside(Path("1.png")))
    ('labels/a/1.txt', 'labels/1.txt')
    """
    parts = ["labels" if part == "images" else part for part in picture.parts]
    parts = parts if "labels" in parts[:-1] else ["labels", *parts]
    return Path(*parts).with_suffix(".txt")


def write_yolo(data: DataSet, folder: Path) -> None:
    """`labels/…txt` and `data.yaml`; pictures are named where they are, in `train.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    number = {name: k for k, name in enumerate(data.classes)}
    paths = []
    for item in data.items:
        width, height = item.size if item.size[0] else measured(data.path(item))
        if not width:
            continue
        rows = []
        for b in item.boxes:
            place = ((b.x + b.width / 2) / width, (b.y + b.height / 2) / height, b.width / width, b.height / height)
            rows.append(" ".join([str(number[b.label]), *(f"{v:.6f}" for v in place)]))
        for p in item.polygons:
            scaled = (v / (height if k % 2 else width) for k, v in enumerate(p.points))
            rows.append(" ".join([str(number[p.label]), *(f"{v:.6f}" for v in scaled)]))
        target = folder / _beside(Path(item.source.lstrip("/")))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(f"{row}\n" for row in rows))
        paths.append(str(data.path(item).absolute()))
    (folder / "train.txt").write_text("".join(f"{p}\n" for p in paths))
    names = "".join(f"  {k}: {json.dumps(name)}\n" for name, k in number.items())
    (folder / "data.yaml").write_text(f"path: .\ntrain: train.txt\nval: train.txt\nnames:\n{names}")


def read_cvat(path: Path, pictures: Path | None) -> DataSet:
    root = pictures or path.parent
    text = _text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise EdgeloopError("not CVAT's labels", where=str(path), why="it declares entities")
    try:
        tree = ElementTree.fromstring(text)
        names = [str(n.text) for n in tree.findall("./meta//label/name")]
        items = []
        for image in tree.iter("image"):
            size = (int(image.get("width", 0)), int(image.get("height", 0)))
            boxes = tuple(_cvat_box(b) for b in image.findall("box"))
            polygons = tuple(_cvat_polygon(p) for p in image.findall("polygon"))
            tag = image.find("tag")
            label = str(tag.get("label")) if tag is not None else ""
            items.append(Item(str(image.attrib["name"]), label, boxes, polygons, size))
    except (ElementTree.ParseError, ValueError, KeyError, TypeError) as error:
        raise _no("CVAT", path, error) from None
    found = {name for i in items for name in (i.label, *i.marked)}
    return _made(root, items, names or sorted(found - {""}), [])


def _cvat_box(box: ElementTree.Element) -> Box:
    left, top, right, bottom = (float(box.attrib[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    return Box(str(box.attrib["label"]), left, top, right - left, bottom - top)


def _cvat_polygon(area: ElementTree.Element) -> Polygon:
    points = tuple(float(v) for xy in area.attrib["points"].split(";") for v in xy.split(","))
    return Polygon(str(area.attrib["label"]), points)


def write_cvat(data: DataSet, path: Path) -> None:
    top = ElementTree.Element("annotations")
    ElementTree.SubElement(top, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(top, "meta"), "job"), "labels")
    for name in data.classes:
        ElementTree.SubElement(ElementTree.SubElement(labels, "label"), "name").text = name
    for key, item in enumerate(data.items):
        width, height = item.size if item.size[0] else measured(data.path(item))
        about = {"id": str(key), "name": item.source, "width": str(width), "height": str(height)}
        image = ElementTree.SubElement(top, "image", about)
        if item.label:
            ElementTree.SubElement(image, "tag", {"label": item.label, "source": "manual"})
        for b in item.boxes:
            place = {"xtl": b.x, "ytl": b.y, "xbr": b.x + b.width, "ybr": b.y + b.height}
            words = {name: f"{value:.2f}" for name, value in place.items()}
            ElementTree.SubElement(image, "box", {"label": b.label, "source": "manual", "occluded": "0", **words})
        for p in item.polygons:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(p.points[::2], p.points[1::2], strict=True))
            said = {"label": p.label, "source": "manual", "occluded": "0", "points": points}
            ElementTree.SubElement(image, "polygon", said)
    ElementTree.ElementTree(top).write(path, encoding="utf-8", xml_declaration=True)


def read_label_studio(path: Path, pictures: Path | None) -> DataSet:
    root = pictures or path.parent
    try:
        items = [_task(task) for task in json.loads(_text(path))]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise _no("Label Studio", path, error) from None
    found = {name for i in items for name in (i.label, *i.marked)}
    return _made(root, items, sorted(found - {""}), [])


def _task(task: dict[str, Any]) -> Item:
    source = str(task["data"]["image"])
    for prefix in ("/data/local-files/?d=", "/data/upload/"):
        source = source.removeprefix(prefix)
    label, size = "", (0, 0)
    boxes: list[Box] = []
    polygons: list[Polygon] = []
    for each in next((a["result"] for a in task.get("annotations", ()) if not a.get("was_cancelled")), ()):
        value = each["value"]
        width, height = int(each.get("original_width", 0)), int(each.get("original_height", 0))
        size = (width, height) if width else size
        if each["type"] == "choices":
            label = str(value["choices"][0])
        elif each["type"] == "rectanglelabels":
            x, y, w, h = (float(value[name]) / 100 for name in ("x", "y", "width", "height"))
            boxes.append(Box(str(value["rectanglelabels"][0]), x * width, y * height, w * width, h * height))
        elif each["type"] == "polygonlabels":
            points = tuple(v / 100 * (height if k else width) for xy in value["points"] for k, v in enumerate(xy))
            polygons.append(Polygon(str(value["polygonlabels"][0]), points))
    return Item(source, label, tuple(boxes), tuple(polygons), size)


def write_label_studio(data: DataSet, path: Path) -> None:
    tasks = []
    for item in data.items:
        width, height = item.size if item.size[0] else measured(data.path(item))
        known = {"original_width": width, "original_height": height, "to_name": "image"}
        found: list[dict[str, Any]] = []
        if item.label:
            found.append({**known, "type": "choices", "from_name": "kind", "value": {"choices": [item.label]}})
        for b in item.boxes:
            value = {"x": 100 * b.x / width, "y": 100 * b.y / height, "width": 100 * b.width / width,
                     "height": 100 * b.height / height, "rotation": 0, "rectanglelabels": [b.label]}  # fmt: skip
            found.append({**known, "type": "rectanglelabels", "from_name": "box", "value": value})
        for p in item.polygons:
            pairs = zip(p.points[::2], p.points[1::2], strict=True)
            points = [[100 * x / width, 100 * y / height] for x, y in pairs]
            value = {"points": points, "polygonlabels": [p.label]}
            found.append({**known, "type": "polygonlabels", "from_name": "area", "value": value})
        tasks.append({"data": {"image": item.source}, "annotations": [{"result": found}] if found else []})
    path.write_text(json.dumps(tasks))


def _no(name: str, path: Path, error: Exception) -> EdgeloopError:
    why = f"{type(error).__name__}: {error}"
    return EdgeloopError(f"not {name}'s labels", where=str(path), why=why, mend="export them again")


READERS: Final[dict[str, Callable[[Path, Path | None], DataSet]]] = {
    "coco": read_coco, "yolo": read_yolo, "cvat": read_cvat, "label-studio": read_label_studio,
}  # fmt: skip
WRITERS: Final[dict[str, Callable[[DataSet, Path], None]]] = {
    "coco": write_coco, "yolo": write_yolo, "cvat": write_cvat, "label-studio": write_label_studio,
}  # fmt: skip
