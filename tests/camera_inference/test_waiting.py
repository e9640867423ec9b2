"""CameraInference before the packages of its profile are there: pictures wait."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2

from edgeloop import profiles
from edgeloop.sim.conveyor import Camera, Conveyor

PICTURES = 200
LATER = """
import pathlib, sys

class Later:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("cv2", "onnxruntime") and not pathlib.Path({there!r}).exists():
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Later(finder) for finder in sys.meta_path]
"""
"""As sitecustomize: two packages that are found only once a file is there."""


def test_pictures_wait_for_the_packages_and_all_are_judged(plant: Any, tmp_path: Path) -> None:
    images, first, there = tmp_path / "images", tmp_path / "first", tmp_path / "there"
    images.mkdir()
    first.mkdir()
    (first / "sitecustomize.py").write_text(LATER.format(there=str(there)))
    eye = Camera(Conveyor("gate", 1, defective=0.0))
    for number in range(PICTURES):
        cv2.imwrite(str(images / f"{number:03d}.png"), eye.image(number)[:, :, ::-1])
    runtime = plant.root / "work" / profiles.RUNTIME
    runtime.mkdir(parents=True)
    (runtime / profiles.ASKED).write_text("core vision")
    uri, model = f"folder:{images}?poll=50 ms", "visual_inspection"
    camera = {"uri": uri, "model": model, "policy": "every", "deadline": "1 min"}
    plant.configure(cameras={"gate": camera})
    process = plant.start(None, first)
    plant.wait(lambda: "waiting for onnxruntime, cv2 (profile 'vision')" in plant.problems())
    time.sleep(2)
    assert plant.results() == []
    assert len(list(images.glob("*.png"))) == PICTURES
    there.touch()
    plant.wait(lambda: len({r["part"] for r in plant.results()}) == PICTURES)
    assert {r["verdict"] for r in plant.results() if r["verdict"] != "fail"} == {"pass"}
    assert [r for r in plant.results() if r["verdict"] == "unknown"] == []
    plant.wait(lambda: plant.problems() == "[]")
    process.terminate()
    assert process.wait(60) == 0
