"""The default models: what the repository holds is what their scripts make, and does what their manifests say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models.golden import worst
from edgeloop.models.graph import Graph, run
from edgeloop.models.package import Package, unpack
from edgeloop.models.runners import open_runner
from models.vibration import train as vibration
from models.visual_inspection import train as visual

FOLDER = Path(__file__).parents[2] / "components" / "models"
NAMES = ("visual_inspection", "vibration")
LARGEST = 500_000


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    into = tmp_path_factory.mktemp("packages")
    return {name: unpack(FOLDER / name / f"{name}.tar", into) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_package_is_small_and_gives_what_its_golden_set_says(name: str, packages: dict[str, Package]) -> None:
    package = packages[name]
    assert (FOLDER / name / f"{name}.tar").stat().st_size <= LARGEST
    assert package.manifest.name == name
    assert package.manifest.card.limits
    runner = open_runner(package, package.manifest.variants[0])
    assert [worst(case, runner.run(case.inputs), package.manifest.golden) <= 1 for case in package.cases()]
    runner.close()


def test_the_metrics_of_the_inspection_hold_on_parts_of_yet_other_seeds(packages: dict[str, Package]) -> None:
    package = packages["visual_inspection"]
    model = (package.folder / "model.onnx").read_bytes()
    got, said = visual.measure(model, range(300, 306), 20), package.manifest.metrics
    assert got["found"] >= 0.9
    assert got["false_rejects"] <= 0.05
    assert got["auroc"] >= said["auroc"] - 0.02
    assert said["parts"] >= 1000


def test_the_vibration_model_tells_faults_from_health_on_yet_other_seeds(packages: dict[str, Package]) -> None:
    model = (packages["vibration"].folder / "model.onnx").read_bytes()
    seeds = range(300, 304)
    good = vibration.collect(model, seeds, 4).ravel()
    assert vibration.collect(model, seeds, 4, "outer_race").mean() > good.max()
    threshold = packages["vibration"].manifest.thresholds["fail"]
    assert (good >= threshold).mean() <= 0.1


def test_a_training_gives_the_same_bytes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one, twice."""
    for module, sets in ((visual, {"TRAIN": range(2), "TUNE": range(2, 4)}), (vibration, {"TRAIN": range(4)})):
        for key, value in sets.items():
            monkeypatch.setattr(module, key, value)
    monkeypatch.setattr(visual, "PER_SEED", 12)
    monkeypatch.setattr(vibration, "TUNE", range(4, 6))
    monkeypatch.setattr(vibration, "PER_SEED", 8)
    for module in (visual, vibration):
        monkeypatch.setattr(module, "measure", lambda *_: {})
        digests = []
        for number in range(2):
            out = tmp_path / f"{number}.tar"
            assert module.main(["--out", str(out)]) == 0
            digests.append(unpack(out, tmp_path / "into").digest)
        assert digests[0] == digests[1]


def test_the_graph_of_features_sees_light_as_nothing() -> None:
    graph = Graph("features", {"image": ("uint8", (1, visual.HEIGHT, visual.WIDTH, 3))})
    last = visual.features(graph)
    model = graph.encode({last: (1, "features", visual.HEIGHT // visual.CELL, visual.WIDTH // visual.CELL)})
    image = visual.Camera(visual.Conveyor("gate", 1)).image(3)
    dim = (image * 0.6).astype(np.uint8)
    bright, dark = (found[0] for found in run(model, [image[None], dim[None]]))
    plate: Any = (slice(None), slice(0, 10), slice(8, 22), slice(12, 28))
    assert np.abs(bright[plate] - dark[plate]).mean() < 0.25
