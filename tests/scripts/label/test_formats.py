"""Labels of other programs: there and back, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.cli import main
from edgeloop_tools.label import formats
from edgeloop_tools.label.dataset import Box, DataSet, Item, Polygon, read, write
from edgeloop_tools.label.groundtruth import read_manifest


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    items = []
    for number in range(3):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((60, 80, 3), 40 * number, np.uint8))
        boxes = (Box("scratch", 10, 20, 30, 10), Box("dent", 0, 0, 8, 8)) if number else ()
        areas = (Polygon("stain", (5, 5, 25, 5, 25, 30)),) if number == 2 else ()
        items.append(Item(f"images/{number}.png", "", boxes, areas, (80, 60), by="Ana", time=1_700_000_000 * 10**9))
    return DataSet(tmp_path, items, ["scratch", "dent", "stain"])


def rounded(items: list[Item]) -> list[object]:
    return [
        (i.source, [(b.label, *(round(v) for v in (b.x, b.y, b.width, b.height))) for b in i.boxes],
         [(p.label, *(round(v) for v in p.points)) for p in i.polygons])
        for i in items
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(formats.READERS))
def test_there_and_back(name: str, data: DataSet, tmp_path: Path) -> None:
    file = tmp_path / ("yolo" if name == "yolo" else f"{name}.txt")
    formats.WRITERS[name](data, file)
    back = formats.READERS[name](file, tmp_path)
    assert rounded(back.items) == rounded(data.items)
    assert sorted(back.classes) == sorted(data.classes)
    assert back.lines == []


def test_ground_truth_there_and_back(data: DataSet, tmp_path: Path) -> None:
    data.items[0] = Item("images/0.png", "good", by="Ana", time=1_700_000_000 * 10**9, about={"site": "a"})
    data.classes = ["good", *data.classes]
    data.splits = {"test": ["images/0.png"]}
    write(data, tmp_path)
    back = read(tmp_path)
    assert back.items == data.items
    assert back.classes == data.classes
    assert back.splits == data.splits
    assert back.digest() == data.digest() == json.loads((tmp_path / "dataset.json").read_text())["digest"]


def test_a_manifest_that_ground_truth_wrote(tmp_path: Path) -> None:
    classified = {
        "source-ref": "s3://bucket/1.jpg", "job": 1,
        "job-metadata": {"class-name": "scratch", "confidence": 0.9, "human-annotated": "yes", "job-name": "job/x",
                         "creation-date": "2026-03-01T08:00:00.123456", "type": "groundtruth/image-classification"},
    }  # fmt: skip
    boxed = {
        "source-ref": "s3://bucket/2.jpg",
        "bounding-box": {"image_size": [{"width": 100, "height": 80, "depth": 3}],
                         "annotations": [{"class_id": 0, "left": 90, "top": 10, "width": 30, "height": 20},
                                         {"class_id": 0, "left": 200, "top": 10, "width": 30, "height": 20}]},
        "bounding-box-metadata": {"objects": [{"confidence": 0.8}], "class-map": {"0": "dent"},
                                  "type": "groundtruth/object-detection", "human-annotated": "yes"},
    }  # fmt: skip
    path = tmp_path / "output.manifest"
    path.write_text("\n".join([json.dumps(classified), "{torn", json.dumps(boxed), '{"no": "source"}']))
    found = read_manifest(path)
    assert [i.kind for i in found.items] == ["scratch", "dent"]
    assert found.items[0].time == 1_772_352_000_123_456_000
    assert found.items[1].boxes == (Box("dent", 90, 10, 10, 20),)
    assert len(found.lines) == 3
    assert "lies outside the picture" in found.lines[2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("coco", "[]"), ("coco", '{"images": [], "annotations": [{}], "categories": []}'), ("label-studio", "{}"),
        ("label-studio", '[{"data": {}}]'), ("cvat", "<annotations><image/></annotations>"), ("cvat", "<a"),
        ("cvat", '<!DOCTYPE a [<!ENTITY x "y">]><annotations/>'),
        ("coco", '{"images": [{"id": 1, "file_name": "gone.jpg"}], "annotations": [], "categories": []}'),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_one_line(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "labels").write_text(text)
    with pytest.raises(EdgeloopError) as error:
        formats.READERS[name](tmp_path / "labels", None)
    assert "\n" not in str(error.value)
    assert "labels" in str(error.value)


def test_the_command_brings_in_and_tells(data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats.write_coco(data, tmp_path / "coco.json")
    words = ["label", str(tmp_path / "set"), "--import", f"coco={tmp_path}/coco.json", "--pictures", str(tmp_path)]
    assert main(words) == 0
    assert main(["label", str(tmp_path / "set"), "--json"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert json.loads(said[-1])["labels"] == {"": 1, "scratch": 2}
    assert main(["label", str(tmp_path / "set"), "--export", "word=x"]) == 1
    assert main(["label", str(tmp_path / "nowhere")]) == 1
