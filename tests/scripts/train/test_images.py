"""`train images` on a few dozen pictures of a simulated belt, and the gain gate."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.models.package import unpack
from edgeloop_tools.cli import main
from edgeloop_tools.label.dataset import Box, DataSet, Item, read, write
from edgeloop_tools.loop.gate import Truth, Verdicts, cost, judge, weigh
from edgeloop_tools.train.images import learn
from edgeloop_tools.train.images.groups import groups_of, leaked, print_of
from edgeloop_tools.train.images.recordio import MAGIC, listed, records
from edgeloop_tools.train.images.source import data_set

KINDS = ("good", "hole", "line")


def picture(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grain = cv2.resize(rng.normal(0, 12, (32, 40)), (80, 64), interpolation=cv2.INTER_CUBIC)
    image = 120 + grain[:, :, None] + rng.normal(0, 1, (64, 80, 3))
    x, y = int(rng.integers(15, 60)), int(rng.integers(15, 45))
    if kind == "hole":
        cv2.circle(image, (x, y), 7, (20, 20, 20), -1)
    if kind == "line":
        cv2.line(image, (x - 12, y - 5), (x + 12, y + 5), (235, 235, 235), 2)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("pictures")
    for number in range(48):
        kind = KINDS[number % 3]
        (top / kind).mkdir(exist_ok=True)
        cv2.imwrite(str(top / kind / f"{number:03}.png"), picture(kind, number))
    return top


def test_labels_become_a_package_with_its_figures(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "images", "--input", str(folder), "--name", "belt", "--model-dir", str(tmp_path)]
    assert main([*words, "--costs", "escape=20,reject=1", "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["accuracy"] >= 0.8
    assert metrics["parity"] <= 1e-3
    assert {f"accuracy_{kind}" for kind in KINDS} <= set(metrics)
    package = unpack(tmp_path / "belt-1.0.0.tar", tmp_path / "there")
    assert package.manifest.labels == KINDS
    assert "48 labelled pictures" in package.manifest.provenance.data
    assert "An escape was taken to cost 20" in package.manifest.card.limits
    assert main([*words, "--against", str(tmp_path / "belt-1.0.0.tar"), "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["package"] is None
    assert "held-out parts are too few to know" in " ".join(said["gate"]["words"])
    assert not (tmp_path / "belt-1.1.0.tar").exists()
    assert (
        main([*words, "--against", str(tmp_path / "belt-1.0.0.tar"), "--force", "the old one is of another lens"]) == 0
    )
    forced = unpack(tmp_path / "belt-1.1.0.tar", tmp_path / "forced").manifest.provenance
    assert "forced: the old one is of another lens" in forced.data
    assert forced.parent == package.digest


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"good": 20}, "one class only"),
        ({"good": 20, "hole": 3}, "too few labels: 3 of 'hole'; 4 of each class are needed"),
        ({}, "the data set has no pictures"),
    ],
)
def test_too_little_is_one_line(
    labels: dict[str, int], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, count in labels.items():
        (tmp_path / kind).mkdir()
        for number in range(count):
            cv2.imwrite(str(tmp_path / kind / f"{number}.png"), picture(kind, number))
    assert main(["train", "images", "--input", str(tmp_path), "--model-dir", str(tmp_path / "out")]) == 1
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_copies_stay_on_one_side_and_are_known_as_learned_from(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "set")
    for path in sorted((tmp_path / "set" / "good").glob("*.png"))[:8]:
        image = cv2.imread(str(path))
        cv2.imwrite(str(path.with_name(f"again_{path.stem}.jpg")), np.clip(image * 1.05, 0, 255))
    data = read(tmp_path / "set")
    seen = np.stack([print_of(cv2.imread(str(data.path(i)))) for i in data.items])
    y = np.array([data.classes.index(i.kind) for i in data.items])
    fold = dict(zip([i.source for i in data.items], learn.folds(y, groups_of(data.items, seen)), strict=True))
    copies = [source for source in fold if "again_" in source]
    assert len(copies) == 8
    assert len(set(fold.values())) == learn.FOLDS
    for copy in copies:
        assert fold[copy] == fold[copy.replace("again_", "").replace(".jpg", ".png")]
    prints = np.stack([print_of(cv2.imread(str(data.root / name))) for name in copies])
    originals = np.stack([print_of(picture("good", 3 * k)) for k in range(8)])
    assert leaked(prints, originals).all()
    assert not leaked(prints, np.stack([print_of(picture("good", 999 + k)) for k in range(8)])).any()
    same = [Item("a", about={"part": "1", "camera": "c"}), Item("b", about={"part": "1", "camera": "c"}), Item("c")]
    assert len(set(groups_of(same, originals[:3]).tolist())) == 2


def test_the_gate_knows_chance_sites_and_costs() -> None:
    rng = np.random.default_rng(0)
    count = 400
    truth = Truth(["good" if k % 2 else "dent" for k in range(count)], np.arange(count), ["a", "b"] * (count // 2))
    bad = np.array([label == "dent" for label in truth.labels])

    def model(wrong: float, at_b: float | None = None) -> np.ndarray:
        rate = np.where(np.array(truth.sites) == "b", wrong if at_b is None else at_b, wrong)
        fails = bad ^ (rng.uniform(size=count) < rate)
        return cost(Verdicts(fails, ["dent" if f else "good" for f in fails]), truth, 10, 1)

    assert weigh(model(0.02), model(0.15), truth).accepted
    assert not weigh(model(0.15), model(0.15), truth).accepted
    worse_at_b = weigh(model(0.0, 0.3), model(0.25, 0.10), truth)
    assert not worse_at_b.accepted
    assert "on site 'b' it is worse" in worse_at_b.line
    few = Truth(truth.labels[:10], truth.groups[:10], truth.sites[:10])
    assert "too few to know" in weigh(np.zeros(10), np.ones(10), few).line
    known = np.arange(count) % 4 > 0
    assert "300 of 400 held-out pictures are among those it learned from" in weigh(
        model(0.0), model(0.1), truth, leaked=known
    ).line  # fmt: skip


def test_wrong_labels_come_first() -> None:
    rng = np.random.default_rng(1)
    y = np.repeat(np.arange(3), 60)
    x = rng.normal(size=(180, 40)) + 1.2 * np.eye(3, 40)[y] * 2
    given = y.copy()
    wrong = rng.choice(180, 18, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    logits = learn.held_out(x, given, 3, np.arange(180))
    first = np.argsort(-learn.doubt(logits, given))[:36]
    assert np.isin(wrong, first).mean() >= 0.6


def record(number: int, label: float, content: bytes, piece: int = 0) -> bytes:
    body = struct.pack("<IfQQ", 0, label, number, 0) + content if piece in (0, 1) else content
    return struct.pack("<II", MAGIC, piece << 29 | len(body)) + body + b"\0" * (-len(body) % 4)


def test_what_sagemakers_algorithms_are_given_is_read(tmp_path: Path) -> None:
    png = cv2.imencode(".png", picture("hole", 1))[1].tobytes()
    whole = record(0, 1.0, png) + record(1, 0.0, png[:10], 1) + record(1, 0.0, png[10:], 3)
    (tmp_path / "a.rec").write_bytes(whole)
    found = list(records(tmp_path / "a.rec"))
    assert [(n, label) for n, label, _ in found] == [(0, 1.0), (1, 0.0)]
    assert found[0][2] == png
    assert found[1][2] == png[:10] + struct.pack("<I", MAGIC) + png[10:]
    assert [i.kind for i in data_set(tmp_path / "a.rec").items] == ["class_1", "class_0"]
    for cut in (3, 30, len(whole) - 6):
        (tmp_path / "b.rec").write_bytes(whole[:cut])
        with pytest.raises(EdgeloopError, match="damaged"):
            list(records(tmp_path / "b.rec"))
    (tmp_path / "c.lst").write_text("0\t1\tx/1.jpg\n1\t0.0\t2.jpg\n")
    assert list(listed(tmp_path / "c.lst")) == [("x/1.jpg", 1.0), ("2.jpg", 0.0)]
    (tmp_path / "c.lst").write_text("0 1 x.jpg\n")
    with pytest.raises(EdgeloopError, match="line 1"):
        list(listed(tmp_path / "c.lst"))


def test_a_job_of_sagemaker_finds_its_channels(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read(folder)
    write(DataSet(folder, data.items, data.classes), tmp_path / "set")
    monkeypatch.setenv("SM_CHANNEL_TRAINING", str(tmp_path / "set"))
    monkeypatch.setenv("SM_MODEL_DIR", str(tmp_path / "model"))
    monkeypatch.setenv("SM_OUTPUT_DIR", str(tmp_path / "output"))
    assert main(["train", "images", "--name", "belt"]) == 0
    assert (tmp_path / "model" / "belt-1.0.0.tar").is_file()
    monkeypatch.setenv("SM_CHANNEL_TRAINING", str(tmp_path / "nothing"))
    assert main(["train", "images", "--name", "belt"]) == 1
    assert "there is no such data set" in (tmp_path / "output" / "failure").read_text()


def marked(seed: int) -> tuple[np.ndarray, list[Box]]:
    rng = np.random.default_rng(seed)
    image = picture("good", seed).repeat(2, axis=0).repeat(2, axis=1)
    boxes = []
    for place in range(int(rng.integers(1, 3))):
        x, y, half = int(rng.integers(20, 50)) + 70 * place, int(rng.integers(30, 90)), int(rng.integers(8, 14))
        kind = ("hole", "plate")[int(rng.integers(2))]
        if kind == "hole":
            cv2.circle(image, (x, y), half, (20, 20, 20), -1)
        else:
            cv2.rectangle(image, (x - half, y - half), (x + half, y + half), (240, 240, 240), -1)
        boxes.append(Box(kind, x - half, y - half, 2 * half + 1, 2 * half + 1))
    return image, boxes


def test_boxes_become_a_detector_that_a_camera_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = []
    for number in range(24):
        image, boxes = marked(number)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
        items.append(Item(f"{number}.png", boxes=tuple(boxes)))
    for number in range(30, 34):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture("good", number).repeat(2, axis=0).repeat(2, axis=1))
        items.append(Item(f"{number}.png", "good"))
    write(DataSet(tmp_path, items, ["hole", "plate"]), tmp_path)
    words = ["train", "images", "--input", str(tmp_path), "--name", "things", "--model-dir", str(tmp_path), "--json"]
    assert main([*words, "--epochs", "5"]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["map_33"] >= 0.7
    package = unpack(tmp_path / "things-1.0.0.tar", tmp_path / "there")
    assert package.manifest.task == "detection"
    image, boxes = marked(100)
    verdicts = judge(package, [image, picture("good", 101).repeat(2, axis=0).repeat(2, axis=1)], frozenset({"good"}))
    assert verdicts.fails.tolist() == [True, False]
    assert verdicts.labels[0] in {b.label for b in boxes}


def test_the_next_labels_are_asked_for(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = [Item(str(p), p.parent.name if k % 4 == 0 else "") for k, p in enumerate(sorted(folder.rglob("*.png")))]
    write(DataSet(folder, items[:28], list(KINDS)), tmp_path)
    assert main(["label", str(tmp_path), "--next", "5"]) == 0
    asked = capsys.readouterr().out.split()
    assert len(set(asked)) == 5
    assert not {i.source for i in read(tmp_path).items if i.kind} & set(asked)
