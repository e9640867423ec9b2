"""Outputs in the layouts that are published: packaged by the command alone, read as they were meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models.decoders import Seen, make
from edgeloop.models.package import unpack
from edgeloop.models.runners import open_runner
from edgeloop_tools import cli
from edgeloop_tools.bench.suite import load

constant = load(Path(__file__).with_name("conftest.py")).constant
BOXES = np.array([[100, 120, 180, 260], [300, 310, 420, 400], [500, 60, 560, 150]], np.float32)
"""Left, top, right, bottom in pixels of 640 × 640."""
CLASSES, SCORES = np.array([1, 0, 2]), np.array([0.9, 0.8, 0.7], np.float32)
NAMES = ("bolt", "nut", "washer")


def centred(boxes: Any) -> Any:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def background(count: int, seed: int = 0) -> Any:
    """Boxes that nothing is in, everywhere: centre and size."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(40, 600, (count, 2)), rng.uniform(8, 60, (count, 2))], axis=1).astype(np.float32)


def places(count: int) -> Any:
    return np.array([count // 5, count // 2, count - count // 7])


def yolo(count: int, *, objectness: bool, extra: int = 0) -> Any:
    rows = np.zeros((count, 4 + objectness + 3 + extra), np.float32)
    rows[:, :4] = background(count)
    at = places(count)
    rows[at, :4] = centred(BOXES)
    if objectness:
        rows[:, 4] = 0.001
        rows[:, 5:8] = 0.3
        rows[at, 4] = SCORES
        rows[at, 5 + CLASSES] = 1.0
    else:
        rows[at, 4 + CLASSES] = SCORES
    return rows


def logits(count: int, columns: int, empty: int | None, scale: float = 8.0) -> Any:
    values = np.full((count, columns), -scale, np.float32)
    if empty is not None:
        values[:, empty] = scale
    return values


def written(tmp_path: Path, model: Path, *options: str, labels: tuple[str, ...] = NAMES) -> tuple[Any, Path]:
    """What the command said, and the package."""
    (tmp_path / "labels.txt").write_text("\n".join(labels))
    out = tmp_path / "made.tar"
    words = ["model", "package", str(model), "--name", "made", "--version", "1.0.0", "-o", str(out)]
    assert cli.main([*words, "--labels", str(tmp_path / "labels.txt"), *options]) == 0
    return unpack(out, tmp_path / "models"), out


def seen(package: Any) -> Seen:
    runner = open_runner(package, package.manifest.variants[0])
    decoder = make(package.manifest, package.folder)
    assert decoder is not None
    found = decoder(list(runner.run(package.cases()[0].inputs)))
    runner.close()
    return found


def check(found: Seen, tolerance: float = 1.5) -> None:
    assert len(found.boxes) == 3
    assert np.abs(found.boxes - BOXES).max() <= tolerance
    assert found.classes.tolist() == CLASSES.tolist()
    assert np.abs(found.scores - SCORES).max() < 0.02


def v8() -> Any:
    return {"output0": yolo(8400, objectness=False).T[None]}


def v5() -> Any:
    return {"output0": yolo(25200, objectness=True)[None]}


def v10() -> Any:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, :3] = np.concatenate([BOXES, SCORES[:, None], CLASSES[:, None]], axis=1)
    return {"output0": rows}


def v7_end() -> Any:
    rows = np.concatenate([np.zeros((3, 1)), BOXES, CLASSES[:, None], SCORES[:, None]], axis=1)
    return {"output": rows.astype(np.float32)}


def yolox() -> Any:
    rows = yolo(8400, objectness=True)
    cells = [np.stack(np.meshgrid(np.arange(640 // s), np.arange(640 // s)), 2).reshape(-1, 2) for s in (8, 16, 32)]
    steps = np.concatenate([np.full((len(c), 1), s) for c, s in zip(cells, (8, 16, 32), strict=True)])
    rows[:, :2] = rows[:, :2] / steps - np.concatenate(cells)
    rows[:, 2:4] = np.log(rows[:, 2:4] / steps)
    free = np.setdiff1d(np.arange(8400), places(8400))
    rows[free, :4] = np.random.default_rng(1).uniform(-0.5, 1.5, (len(free), 4))
    return {"output": rows[None].astype(np.float32)}


def detr() -> Any:
    boxes, scores = background(100) / 640, logits(100, 4, 3)
    boxes[:3] = centred(BOXES) / 640
    scores[:3] = -8
    scores[np.arange(3), CLASSES] = np.log(SCORES / (1 - SCORES))
    scores[:3, 3] = 0
    return {"logits": scores[None], "pred_boxes": boxes[None].astype(np.float32)}


def rt_detr() -> Any:
    boxes, scores = np.zeros((1, 300, 4), np.float32), np.full((1, 300), 0.01, np.float32)
    named = np.zeros((1, 300), np.int64)
    corners = background(300)
    boxes[0] = np.concatenate([corners[:, :2] - corners[:, 2:] / 2, corners[:, :2] + corners[:, 2:] / 2], axis=1)
    boxes[0, :3], scores[0, :3], named[0, :3] = BOXES, SCORES, CLASSES
    return {"labels": named, "boxes": boxes, "scores": scores}


def tensorflow() -> Any:
    boxes = np.zeros((1, 100, 4), np.float32)
    boxes[0, :3] = BOXES[:, [1, 0, 3, 2]] / 640
    scores, named = np.zeros((1, 100), np.float32), np.zeros((1, 100), np.float32)
    scores[0, :3], named[0, :3] = SCORES, CLASSES
    count = np.array([3], np.float32)
    return {
        "detection_boxes": boxes, "detection_classes": named, "detection_scores": scores, "num_detections": count,
    }  # fmt: skip


def centernet() -> Any:
    heat = np.full((1, 3, 160, 160), -8, np.float32)
    size, offset = np.full((1, 2, 160, 160), 3, np.float32), np.full((1, 2, 160, 160), 0.5, np.float32)
    for box, kind, score in zip(centred(BOXES) / 4, CLASSES, SCORES, strict=True):
        x, y = int(box[0]), int(box[1])
        heat[0, kind, y, x] = np.log(score / (1 - score))
        size[0, :, y, x], offset[0, :, y, x] = box[2:], box[:2] - (x, y)
    return {"hm": heat, "wh": size, "reg": offset}


def empty(values: Any) -> Any:
    """Without a background: rows in which nothing stands."""
    return {
        name: np.where((a[..., 4:].max(-1) > 0.5)[..., None], a, 0) if a.shape[-1] < 100 else
        np.where((a[:, 4:].max(1) > 0.5)[:, None], a, 0)
        for name, a in values.items()
    }  # fmt: skip


LAYOUTS = {
    "v8, empty": lambda: empty(v8()), "v5, empty": lambda: empty(v5()),
    "v8": v8, "v5": v5, "v10": v10, "v7 with its end": v7_end, "yolox": yolox, "detr": detr, "rt-detr": rt_detr,
    "tensorflow": tensorflow, "centernet": centernet,
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_detector_is_read_as_it_was_meant(name: str, tmp_path: Path, pictures: Path) -> None:
    model = constant(tmp_path / "m.onnx", LAYOUTS[name]())
    package, _ = written(tmp_path, model, "--images", str(pictures / "good"))
    assert package.manifest.task == "detection"
    assert package.manifest.labels == NAMES
    check(seen(package))


def test_a_detector_is_read_without_pictures_and_without_labels(tmp_path: Path, capsys: Any) -> None:
    model = constant(tmp_path / "m.onnx", v8())
    out = tmp_path / "made.tar"
    words = ["model", "package", str(model), "--task", "detection", "--name", "made", "--version", "1.0.0"]
    assert cli.main([*words, "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert any("guess" in note for note in said["notes"])
    assert said["manifest"]["labels"] == ["class_0", "class_1", "class_2"]
    check(seen(unpack(out, tmp_path / "models")))


def test_sizes_of_the_picture_become_constants(tmp_path: Path) -> None:
    model = constant(tmp_path / "m.onnx", rt_detr(), more={"orig_target_sizes": (1, 2)})
    package, _ = written(tmp_path, model)
    assert [t.name for t in package.manifest.inputs] == ["images"]
    check(seen(package))


def test_instances_have_masks(tmp_path: Path) -> None:
    rows = yolo(8400, objectness=False, extra=32)
    rows[places(8400), 7:] = 0
    rows[places(8400), 7] = 1.0
    prototypes = np.full((1, 32, 160, 160), -4, np.float32)
    prototypes[0, 0, 30:50, :] = 6.0
    model = constant(tmp_path / "m.onnx", {"output0": rows.T[None], "output1": prototypes})
    package, _ = written(tmp_path, model)
    found = seen(package)
    check(found)
    assert found.masks is not None
    top = found.masks[0] > 0.5
    assert top.any()
    assert np.flatnonzero(top.any(axis=1)).min() >= 30
    assert np.flatnonzero(top.any(axis=0)).min() >= 24


def test_keypoints_of_a_pose_come_back(tmp_path: Path) -> None:
    rows = np.zeros((8400, 56), np.float32)
    rows[:, :4] = background(8400)
    rows[700, :5] = [*centred(BOXES)[0], 0.9]
    rows[700, 5:] = np.stack([np.linspace(110, 170, 17), np.linspace(130, 250, 17), np.full(17, 0.8)], 1).ravel()
    said = {"task": "pose", "kpt_shape": "[17, 3]", "names": "{0: 'person'}", "description": "Ultralytics"}
    model = constant(tmp_path / "m.onnx", {"output0": rows.T[None]}, metadata=said)
    package, _ = written(tmp_path, model, labels=("person",))
    found = seen(package)
    assert package.manifest.task == "keypoints"
    assert found.points is not None
    assert found.points.shape == (1, 17, 3)
    assert np.allclose(found.points[0, -1], [170, 250, 0.8], atol=0.01)


def test_areas_classes_and_heat_maps(tmp_path: Path, pictures: Path) -> None:
    planes = np.full((1, 4, 120, 160), -3, np.float32)
    planes[0, 0], planes[0, 2, 20:40, 30:60] = 1, 5
    model = constant(tmp_path / "a.onnx", {"out": planes}, size=(320, 240))
    package, _ = written(tmp_path, model, labels=("floor", "bolt", "nut", "washer"))
    found = seen(package)
    assert package.manifest.task == "segmentation"
    assert found.area is not None
    assert (found.area == 2).sum() == 20 * 30

    model = constant(tmp_path / "b.onnx", {"out": np.array([[0.5, 4.0, -1.0]], np.float32)}, size=(224, 224))
    package, _ = written(tmp_path, model)
    chances = seen(package).chances
    assert package.manifest.task == "classification"
    assert chances is not None
    assert chances.argmax() == 1
    assert abs(chances.sum() - 1) < 1e-4

    heat = np.full((1, 1, 256, 256), 0.1, np.float32)
    heat[0, 0, 100:120, 60:80] = 0.9
    outputs = {"pred_score": np.array([[0.9]], np.float32), "anomaly_map": heat}
    model = constant(tmp_path / "c.onnx", outputs, size=(256, 256))
    package, _ = written(tmp_path, model, "--task", "one_class", "--images", str(pictures / "good"))
    found = seen(package)
    assert found.score == pytest.approx(0.9)
    assert found.heat is not None


REFUSED = {
    "text": {"out": np.full((1, 80, 6625), 1 / 6625, np.float32)},
    "raw grids": {f"p{s}": np.zeros((1, 3, 640 // s, 640 // s, 8), np.float32) for s in (8, 16, 32)},
    "six numbers of nothing": {"a": np.ones((1, 7, 3), np.float32), "b": np.ones((1, 2, 5), np.float32)},
    "a picture": {"out": np.zeros((1, 3, 77, 13), np.float32)},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_can_read_is_refused_with_one_line(name: str, tmp_path: Path, capsys: Any) -> None:
    model = constant(tmp_path / "m.onnx", REFUSED[name])
    out = tmp_path / "made.tar"
    words = ["model", "package", str(model), "--name", "made", "--version", "1.0.0", "-o", str(out)]
    assert cli.main(words) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "m.onnx" in line
    assert not out.exists()


def test_labels_that_do_not_fit_are_refused(tmp_path: Path, capsys: Any) -> None:
    model = constant(tmp_path / "m.onnx", v8())
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    words = ["model", "package", str(model), "--name", "made", "--version", "1.0.0", "-o", str(tmp_path / "x.tar")]
    assert cli.main([*words, "--labels", str(tmp_path / "labels.txt")]) == 1
    assert "2 labels" in capsys.readouterr().err
