"""What was picked for doubt is not the line's mix: neither limit nor gate goes by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.models.package import unpack
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.label.dataset import DataSet, Item, read
from edgeloop_tools.label.run import most_taught
from edgeloop_tools.loop.gate import Truth, Verdicts, cost, judge, weigh
from edgeloop_tools.train.images.command import compared, weighed
from edgeloop_tools.train.images.mix import weights
from edgeloop_tools.train.images.run import Costs, train

from .test_images import picture

MIX = 0.1
"""Share of bad parts on the line."""


def skewed(seed: int) -> tuple[Truth, list[Item], np.ndarray]:
    """400 that were picked for doubt, most of them bad, and 100 of the line's own; and which are bad."""
    rng = np.random.default_rng(seed)
    bad = np.concatenate([rng.uniform(size=400) < 0.8, rng.uniform(size=100) < MIX])
    items = [Item(str(k), about={"kept": "below" if k < 400 else "random"}) for k in range(500)]
    return Truth(["bad" if b else "good" for b in bad], np.arange(500), [""] * 500), items, bad


def costs(truth: Truth, fails: np.ndarray) -> np.ndarray:
    return cost(Verdicts(fails, ["bad" if f else "good" for f in fails]), truth, 1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_rejects_the_line_s_good_parts_is_refused(seed: int) -> None:
    """It finds each bad one and rejects two thirds of the good ones: better on what was picked, worse on the mix."""
    truth, items, bad = skewed(seed)
    rng = np.random.default_rng(100 + seed)
    active = costs(truth, bad ^ (rng.uniform(size=500) < np.where(bad, 0.55, 0.1)))
    rejects = costs(truth, bad | (rng.uniform(size=500) < 0.65))
    assert weigh(rejects, active, truth).accepted
    decision = weigh(rejects, active, truth, weight=weights(items))
    assert not decision.accepted
    assert "400 held-out pictures were picked for doubt and are not the line's mix: left out" in decision.words
    assert "a part more" in decision.line
    assert decision.figures["parts"] == 100


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_is_better_on_the_line_is_let_through(seed: int) -> None:
    """Though it is worse on what was picked."""
    truth, items, bad = skewed(seed)
    rng = np.random.default_rng(200 + seed)
    chance = np.arange(500) >= 400
    active = costs(truth, bad ^ (rng.uniform(size=500) < np.where(chance, 0.3, 0.1)))
    better = costs(truth, bad ^ (rng.uniform(size=500) < np.where(chance, 0.05, 0.3)))
    assert not weigh(better, active, truth).accepted
    assert weigh(better, active, truth, weight=weights(items)).accepted


def test_too_little_of_the_random_share_is_told_with_its_number() -> None:
    truth, items, bad = skewed(0)
    both = costs(truth, bad), costs(truth, ~bad)
    few = weights([replace(i, about={"kept": "margin"}) if k < 488 else i for k, i in enumerate(items)])
    decision = weigh(*both, truth, weight=few)
    assert not decision.accepted
    assert "12 held-out parts of the line's mix are too few to know: label 8 more of the random share first" in (
        decision.words
    )
    good = np.where(bad, 0.0, weights(items))
    decision = weigh(*both, truth, weight=good)
    assert not decision.accepted
    assert "are bad, 5 are needed: label more of the random share first" in decision.line


def test_what_weighs_more_counts_more() -> None:
    truth = Truth(["good", "bad"] * 30, np.arange(60), [""] * 60)
    new, active = np.tile([1.0, 0.0], 30), np.tile([0.0, 1.0], 30)
    assert weigh(new, active, truth, weight=np.tile([1.0, 9.0], 30)).gain == pytest.approx(0.8)
    assert weigh(new, active, truth, weight=np.tile([1.0, 9.0], 30)).accepted
    assert not weigh(new, active, truth, weight=np.tile([9.0, 1.0], 30)).accepted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tenths of the random share are bad; of what was picked nine tenths."""
    top = tmp_path_factory.mktemp("kept")
    for kept, count, share in (("below", 40, 9), ("random", 60, 3)):
        for number in range(count):
            kind = "hole" if number % 10 < share else "good"
            (top / kind).mkdir(exist_ok=True)
            path = top / kind / f"{kept}_{number:03}.png"
            cv2.imwrite(str(path), picture(kind, number + (1000 if kept == "random" else 0)))
            path.with_suffix(".json").write_text(f'{{"kept": "{kept}", "time": {number + 1}000000000000}}')
    return top


def test_limit_and_figures_are_of_the_line_s_mix(folder: Path, tmp_path: Path) -> None:
    data = read(folder)
    whole = train(data, tmp_path / "whole.tar", "belt")
    assert whole.metrics["pictures"] == 60
    said = unpack(whole.path, tmp_path / "whole").manifest.card.limits
    assert "40 that were picked for doubt taught it; limit and figures are of the other 60" in said
    many = [replace(i, about={"kept": "below"}) for i in data.items]
    picked = train(DataSet(data.root, many, data.classes), tmp_path / "picked.tar", "belt")
    assert picked.metrics["pictures"] == 100
    assert any("label more of the random share" in line for line in picked.lines)


def test_the_gate_of_a_training_goes_by_the_random_share(folder: Path, tmp_path: Path) -> None:
    data = read(folder)
    shuffled = [replace(i, label=("hole", "good")[k % 2]) for k, i in enumerate(data.items) if "below" in i.source]
    other = tmp_path / "other"
    other.mkdir()
    items = []
    for k, item in enumerate(shuffled):
        cv2.imwrite(str(other / f"{k}.png"), picture("good", 5000 + k))
        items.append(Item(f"{k}.png", item.label))
    weak = train(DataSet(other, items, data.classes), tmp_path / "weak.tar", "belt")
    active = unpack(weak.path, tmp_path / "active")
    new = train(data, tmp_path / "new.tar", "belt")
    decision = weighed(data, new, active, Costs(), tmp_path)
    assert decision.accepted, decision.line
    assert "40 held-out pictures were picked for doubt and are not the line's mix: left out" in decision.words
    assert decision.figures["parts"] == 60
    apart = [i.source for i in data.items if "below" in i.source]
    decision = compared(replace(data, splits={"test": apart}), active, active, Costs())
    assert not decision.accepted
    assert "label 20 more of the random share first" in decision.line


def test_the_next_labels_are_by_halves_of_the_random_share(folder: Path) -> None:
    data = read(folder)
    data.items = [i if int(i.source[-7:-4]) < 15 else replace(i, label="") for i in data.items]
    asked = [data.items[k] for k in most_taught(data, 10)]
    chance = [i for i in asked if i.about["kept"] == "random"]
    assert len({i.source for i in asked}) == 10
    assert sorted(i.about["time"] for i in chance) == [n * 10**12 for n in range(16, 21)]


def test_a_model_of_jpegs_judges_what_the_camera_gives(tmp_path: Path) -> None:
    """What goes up is JPEG, what is judged on the line is not."""
    belt = Camera(Conveyor("gate", 7, 160, 120, defective=0.3))
    items = []
    for number in range(0, 80 * 41, 41):
        name = f"{number}.jpg"
        cv2.imwrite(str(tmp_path / name), belt.image(number)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        items.append(Item(name, "good" if belt.part(number).kind == "good" else "bad"))
    made = train(DataSet(tmp_path, items, ["good", "bad"]), tmp_path / "belt.tar", "belt")
    package = unpack(made.path, tmp_path / "there")
    later = [belt.image(n) for n in range(50_000, 50_000 + 60 * 37, 37)]
    packed = [
        np.ascontiguousarray(cv2.imdecode(cv2.imencode(".jpg", p[:, :, ::-1])[1], cv2.IMREAD_COLOR)[:, :, ::-1])
        for p in later
    ]
    raw, same = (judge(package, pictures, frozenset({"good"})).fails for pictures in (later, packed))
    assert (raw != same).mean() <= 0.2
