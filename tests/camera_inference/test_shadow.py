"""A candidate beside the model that serves, on what the camera sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.models import shadow, store
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf
from edgeloop_tools.model.compare import compare, text

NAME = "brightness"


def test_a_candidate_is_compared_and_never_serves(plant: Any, make_model: Any, tmp_path: Path) -> None:
    folder = store.directory(plant.root, NAME)
    shelf = Shelf(folder, NAME)
    packages = []
    for version, fail in (("1.0.0", 0.5), ("1.1.0", 0.3)):
        archive = tmp_path / f"{version}.tar"
        digest = make_model(archive, version=version, fail=fail)
        packages.append(unpack(archive, folder, digest))
    shelf.activate(Ref(digest=packages[0].digest, version="1.0.0"), 1)
    shelf.commit(2)
    shadow.write(folder, shadow.Shadow(
        name=NAME, digest=packages[1].digest, version="1.1.0", variant=0, share=1.0, since=3,
    ))  # fmt: skip
    images = tmp_path / "images"
    images.mkdir()
    ramp = np.linspace(-30, 30, 64)[None, :, None].repeat(48, 0).repeat(3, 2)
    for k in range(8):
        cv2.imwrite(str(images / f"{k}.png"), (ramp + (40 if k % 2 else 100) + k).astype(np.uint8))
    with pytest.raises(EdgeloopError, match="nothing was compared"):
        compare(plant.root, NAME, "1d")
    camera = {"uri": f"folder:{images}?rate=5&loop=true", "policy": "every", "model": NAME, "deadline": "1 min"}
    plant.configure(cameras={"gate": {**camera, "pictures": {"usual": False}}})
    process = plant.start()

    def noted() -> list[shadow.Comparison]:
        return list(shadow.comparisons(plant.root, NAME))

    plant.wait(lambda: len(noted()) >= 12, 240)
    process.terminate()
    assert process.wait(60) == 0
    assert {(result["verdict"], result["model"]["version"]) for result in plant.results()} == {("pass", "1.0.0")}
    found = compare(plant.root, NAME, "1d")
    assert (found["active"], found["candidate"]) == ("1.0.0", "1.1.0")
    assert set(found["pairs"]) == {"pass -> pass", "pass -> fail"}
    assert 0.3 < found["agree"] < 0.7
    assert found["otherwise"][0]["verdicts"] == "pass -> fail"
    assert "1.1.0 beside 1.0.0" in text(NAME, found)
    assert not list((plant.work / "models").glob("*.shadow-use.json"))


def test_a_candidate_that_ended_the_process_twice_is_not_run(make_model: Any, tmp_path: Path) -> None:
    archive = tmp_path / "m.tar"
    package = unpack(archive, tmp_path / "store", make_model(archive))
    wanted = shadow.Shadow(name=NAME, digest=package.digest, version="1.0.0", variant=0, share=0.5, since=1)
    shadow.write(tmp_path / "store", wanted)
    said: list[str | None] = []
    for expected in (True, True, False, False):
        candidate = shadow.Candidate(NAME, tmp_path / "store", tmp_path, shadow.Options(), lambda *_: None, said.append)
        candidate.look()
        assert (candidate.runner is not None) is expected
    assert "the process died with it: 2 times" in str(said[-1])
    shadow.write(tmp_path / "store", None)
    assert shadow.read(tmp_path / "store") is None
