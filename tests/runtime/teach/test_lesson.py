"""Teaching from good pictures of a simulated belt, small ones, so that it takes seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.models.graph import Graph, area, run
from edgeloop.models.onnxfile import write as write_onnx
from edgeloop.models.package import unpack
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop.teach import backbone, memory, template
from edgeloop.teach.lesson import Options, Taught, teach
from edgeloop.teach.network import Run
from edgeloop.teach.package import write
from edgeloop.teach.shown import Shown, resized

GOOD = Camera(Conveyor("gate", 3, 160, 120, defective=0.0))
BAD = Camera(Conveyor("gate", 3, 160, 120, defective=1.0))
SMALL = Options(memory=250)


def shown(camera: Camera, numbers: range) -> list[Shown]:
    return [Shown(f"part {n}", camera.image(n)) for n in numbers]


@pytest.fixture(scope="module")
def taught() -> Taught:
    return teach(shown(GOOD, range(0, 2400, 100)), shown(BAD, range(50, 2400, 200)), SMALL)


def outputs(taught: Taught, camera: Camera, numbers: range) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and how unlike what was taught."""
    model = Run(taught.model)
    found = [model(resized(camera.image(n), taught.width, taught.height)) for n in numbers]
    return np.array([o[0][0] for o in found]), np.array([o[2][0] for o in found])


def test_what_was_not_shown_is_told_apart(taught: Taught) -> None:
    good, unlike_good = outputs(taught, GOOD, range(3000, 5000, 50))
    bad, unlike_bad = outputs(taught, BAD, range(3000, 5000, 50))
    both = np.concatenate([good, bad])
    assert area(both, np.arange(len(both)) >= len(good)) >= 0.9
    assert (good >= 0.5).mean() <= 0.1
    assert (unlike_good > 1).mean() <= 0.025
    assert (unlike_bad > 1).mean() <= 0.1


def test_what_is_no_such_part_is_unlike_what_was_taught(taught: Taught) -> None:
    model = Run(taught.model)
    part = resized(GOOD.image(5000), taught.width, taught.height)
    rng = np.random.default_rng(1)
    strange = {
        "black": np.zeros_like(part),
        "white": np.full_like(part, 255),
        "noise": rng.integers(0, 256, part.shape, np.uint8),
        "negative": 255 - part,
        "half": np.concatenate([part[: len(part) // 2], part[: len(part) // 2]]),
        "moved": np.roll(part, 60, axis=1),
    }
    for name, pixels in strange.items():
        assert model(pixels)[2][0] > 1, name


def test_the_package_is_one_that_a_device_takes(taught: Taught, tmp_path: Path) -> None:
    digest = write(taught, tmp_path / "belt.tar", "belt", "1.0.0", by="Ana")
    package = unpack(tmp_path / "belt.tar", tmp_path / "there", digest)
    assert package.manifest.task == "one_class"
    assert package.manifest.thresholds == {"fail": 0.5, "unlike": 1.0}
    assert "Ana" in package.manifest.provenance.code
    assert package.manifest.provenance.made_on == ""
    assert next(c.outputs[1].shape for c in package.cases()) == (taught.height // 8, taught.width // 8)


def test_bad_pictures_and_hints(taught: Taught) -> None:
    assert taught.metrics["bad"] == 12
    assert taught.metrics["found_held_out"] >= 0.7
    assert sum(j.bad for j in taught.judged) == 12


def test_too_few_pictures_and_those_that_show_nothing() -> None:
    dark = [Shown("dark", np.zeros((120, 160, 3), np.uint8))]
    twice = shown(GOOD, range(0, 800, 100)) * 2
    with pytest.raises(EdgeloopError) as refused:
        teach([*dark, *twice], options=SMALL)
    assert "8 of 17 are usable, 12 are needed; dark: dark: 0.0% of full scale" in str(refused.value)
    with pytest.raises(EdgeloopError, match="there are no pictures"):
        teach([])


def test_a_picture_of_something_else_is_left_out() -> None:
    other = Shown("odd", np.ascontiguousarray(GOOD.image(7).transpose(1, 0, 2)[::-1]))
    found = teach([*shown(GOOD, range(0, 1300, 100)), other], options=SMALL)
    assert [j.refused for j in found.judged if j.refused] == ["shows something else than the others do"]


def board(rng: np.random.Generator, fault: bool) -> np.ndarray:
    """A printed thing: lines that are always the same, moved a little, under other light."""
    image = np.full((160, 200), 40, np.float32)
    for k in range(10):
        image[10 + 14 * k : 16 + 14 * k, 12:188] = 200
    if fault:
        y, x = 10 + 14 * int(rng.integers(0, 10)), int(rng.integers(20, 170))
        image[y : y + 6, x : x + 8] = 40
    image = np.roll(image, rng.integers(-2, 3, 2), (0, 1)) * rng.uniform(0.85, 1.1) + rng.normal(0, 3, image.shape)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def test_the_template_mode_finds_what_is_missing_on_a_board(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    good = [Shown(f"board {k}", board(rng, False)) for k in range(14)]
    found = template.teach(good, options=Options(size=(208, 160)))
    model = Run(found.model)
    scores = np.array([model(resized(board(rng, k % 2 == 1), 208, 160))[0][0] for k in range(40)])
    assert (scores[1::2] >= 0.5).all()
    assert (scores[0::2] < 0.5).all()
    write(found, tmp_path / "board.tar", "board", "1.0.0")


def test_a_graph_is_written_alike_with_and_without_the_onnx_package() -> None:
    graph = Graph("small", {"x": ("float32", (1, 6))})
    top = graph.add("TopK", graph.add("Mul", "x", 2.0), np.array([2], np.int64), axis=1)
    graph.add("ReduceMean", top, axes=[1], keepdims=1, output="y")
    value = np.array([[1, 5, 2, 4, 0, 3]], np.float32)
    shape = {"y": (1, 1)}
    for model in (graph.encode(shape), write_onnx(graph, shape)):
        assert next(iter(run(model, [value])))[0].tolist() == [[9.0]]


def test_a_memory_spreads_over_what_there_is() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(500, 8)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    few = memory.spread(points, 50)
    some = points[rng.choice(500, 50, replace=False)]
    assert len(few) == 50
    assert memory.distances(points, few).max() < memory.distances(points, some).max()


def test_the_backbone_is_the_one_that_its_notice_names() -> None:
    folder = Path(backbone.__file__).parents[3] / "models" / "backbone" / "vendored"
    assert backbone.SHA256 in (folder / "NOTICE").read_text()
    assert backbone.content() == (folder / "backbone.onnx").read_bytes()
