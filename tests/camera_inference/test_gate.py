"""No pass on a picture that shows nothing; no unknown on one that does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camera_inference.configuration import Limits
from camera_inference.frame import Frame, Pixels
from camera_inference.gate import FIRST, Gate
from camera_inference.pictures import decode
from camera_inference.prepare import Preparation
from camera_inference.verdict import Criteria, interpret
from edgeloop.errors import EdgeloopError
from edgeloop.models.default import default_model
from edgeloop.models.package import Package, unpack
from edgeloop.models.runners import Runner, open_runner
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.bench.suite import load

WHOLE = (0.0, 0.0, 1.0, 1.0)
MADE = load(Path(__file__).with_name("odd_pictures.py"))
part, ODD = MADE.part, MADE.corpus()
GOOD = Criteria(frozenset({"good"}))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    archive = default_model("visual_inspection")
    assert archive is not None
    return unpack(archive, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def runner(package: Package) -> Iterator[Runner]:
    opened = open_runner(package, package.manifest.variants[0])
    yield opened
    opened.close()


def judged(package: Package, runner: Runner, gate: Gate, image: Pixels) -> tuple[str, str]:
    """The verdict, and why it is unknown."""
    frame = Frame("gate", 0, 0, image, "bgr")
    if reason := gate.small(frame):
        return "unknown", reason
    preparation = Preparation(package.manifest, WHOLE)
    tensor, placement = preparation.fill(frame, preparation.buffer())
    assert preparation.pixels is not None
    if reason := gate.refuses(preparation.pixels, preparation.view, package.manifest.pictures):
        return "unknown", reason
    finding = interpret(package.manifest, runner.run(tensor), placement, GOOD)
    return GOOD.judge(finding, package.manifest), ""


def test_the_corpus_is_large() -> None:
    assert len(ODD) >= 60


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)
def test_an_odd_picture(odd: Any, package: Package, runner: Runner) -> None:
    if odd.should == "refused":
        with pytest.raises(EdgeloopError) as error:
            decode(odd.data, odd.name)
        assert odd.name in str(error.value)
        return
    image = decode(odd.data, odd.name)
    assert judged(package, runner, Gate(Limits()), image)[0] == odd.should


def test_bits_that_are_named_are_right() -> None:
    wide = part().astype(np.uint16)[:, :, ::-1] << 4
    data = cv2.imencode(".png", np.ascontiguousarray(wide))[1].tobytes()
    assert (decode(data, "x", bits=12) == part()[:, :, ::-1]).all()
    with pytest.raises(EdgeloopError, match="bits=12"):
        decode(data, "x")
    with pytest.raises(EdgeloopError, match="more bits"):
        decode(data, "x", bits=10)


def test_ordinary_good_parts_pass_the_gate(package: Package) -> None:
    """2,000 in the light of an hour and more, on four cameras that begin with the package's statistics."""
    refused: list[str] = []
    for seed in (201, 202, 203, 204):
        camera, gate = Camera(Conveyor("gate", seed, defective=0.0)), Gate(Limits())
        for number in range(0, 20_000, 40):
            if reason := gate.refuses(camera.image(number), "whole", package.manifest.pictures):
                refused.append(reason)
    assert len(refused) <= 10, refused


def test_a_camera_without_a_package_s_statistics_learns_its_own(tmp_path: Path) -> None:
    path = tmp_path / "gate.pictures.json"
    camera, gate = Camera(Conveyor("gate", 3, defective=0.0)), Gate(Limits(), path)
    defocused = cv2.GaussianBlur(camera.image(0), (0, 0), 6)
    assert gate.refuses(defocused, "whole", None) == ""
    for number in range(FIRST):
        assert gate.refuses(camera.image(number), "whole", None) == ""
    gate.save()
    again = Gate(Limits(), path)
    assert again.count == FIRST + 1
    assert "moved" in again.refuses(np.roll(camera.image(5), 150, axis=1), "whole", None)
    assert "darker" in again.refuses((camera.image(5) * 0.25).astype(np.uint8), "whole", None)
    assert again.refuses(camera.image(9), "whole", None) == ""
    again.forget()
    assert again.refuses(defocused, "whole", None) == ""
    assert not path.exists()


def test_absolute_limits_hold_and_can_be_set() -> None:
    dim = (part() * 0.03).astype(np.uint8)
    assert "dark" in Gate(Limits()).refuses(dim, "whole", None)
    assert Gate(Limits(dark=0.001, contrast=0.001)).refuses(dim, "whole", None) == ""


def test_a_camera_that_hangs_is_noticed() -> None:
    gate, image = Gate(Limits()), part()
    moving = [np.roll(image, n, axis=0) for n in range(3)]
    said = [gate.frozen(Frame("gate", 0, n * 10**9, moving[min(n, 2)], live=True)) for n in range(8)]
    assert said[:5] == [""] * 5
    assert "hang" in said[5]
    assert gate.frozen(Frame("gate", 0, 9 * 10**9, moving[0], live=True)) == ""
    still = Gate(Limits())
    assert [still.frozen(Frame("gate", 0, n * 10**9, image)) for n in range(8)] == [""] * 8
