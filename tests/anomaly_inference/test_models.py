"""Models beside the streaming detectors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from anomaly_inference.results import Result
from edgeloop.alarms import Alarm
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect.models import Serving
from edgeloop.models.default import default_model
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Calibration, File, Golden, Manifest, Statistics, Tensor, Variant, Window
from edgeloop.models.package import unpack
from edgeloop.models.runners import Options, open_runner
from edgeloop.models.scoring import WindowScorer
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Channel

BEGAN = 1_700_000_000 * NS
WINDOW = 8


def manifest(version: str, **window: Any) -> Manifest:
    spec: dict[str, Any] = {"input": "x", "samples": WINDOW, "channels": ("a",), "rate": 1.0, "hop": 2} | window
    return Manifest(
        schema=1, name="m1", version=version, task="anomaly",
        files={"golden.npz": File(sha256="0" * 64, size=1), "model.onnx": File(sha256="0" * 64, size=1)},
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="x", dtype="float32", shape=(1, WINDOW, 1)),),
        outputs=(Tensor(name="score", dtype="float32", shape=(1,)),),
        golden=Golden(), preprocessing=(Window(**spec),),
        calibration=Calibration(scores=(0.0, 10.0), return_times=(0.0, 10.0)),
    )  # fmt: skip


@dataclass
class Runner:
    """The mean of a window is its score. windows: those it was given."""

    fails: bool = False
    windows: list[NDArray[Any]] = field(default_factory=list)
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()

    def run(self, inputs: Mapping[str, NDArray[Any]] | NDArray[Any]) -> list[NDArray[Any]]:
        assert isinstance(inputs, np.ndarray)
        if self.fails:
            raise ModelError("the model failed", why="no room")
        self.windows.append(inputs.copy())
        return [np.array([inputs.mean()], dtype=np.float32)]

    def close(self) -> None: ...


class Place:
    """Where models come from."""

    def __init__(self) -> None:
        self.serving: Serving | None = None
        self.used = self.failed = 0

    def put(self, version: str, runner: Runner, **window: Any) -> None:
        known = manifest(version, **window)
        self.serving = Serving(version, known, lambda: WindowScorer(known, runner), self._used, self._failed)

    def _used(self) -> None:
        self.used += 1

    def _failed(self) -> None:
        self.failed += 1


class Line:
    def __init__(self, **options: Any) -> None:
        self.place, self.lines, self.at = Place(), [""], 0
        self.results: list[Result] = []
        self.alarms: list[Alarm] = []
        config = convert({"monitors": {"m": {"asset": "a", "input": "s", "models": "m1"} | options}}, Configuration)
        self.engine = Engine(
            config, problem=lambda monitor, line: self.lines.append(line), models=lambda name: self.place.serving
        )

    def send(self, values: np.ndarray) -> None:
        time = BEGAN + self.at * NS
        outcome = self.engine.process(
            Batch("s", 1, self.at, time, (Channel("a"), Channel("b")), values, rate=Fraction(1)), now=time
        )
        self.results += outcome.results
        self.alarms += outcome.alarms
        self.at += len(values)

    def rows(self, n: int, level: float = 1.0) -> None:
        rng = np.random.default_rng(self.at)
        for _ in range(n // 5):
            self.send(rng.normal(level, 0.1, (5, 2)))


def test_a_model_scores_beside_the_engine_and_another_takes_over_without_a_lost_batch() -> None:
    line, old, new = Line(learn="60 s"), Runner(), Runner()
    line.place.put("1.0.0", old)
    line.rows(50)
    line.place.put("1.1.0", new)
    line.rows(50)
    assert {r.models["m1"].version for r in line.results[:10]} == {"1.0.0"}
    assert {r.models["m1"].version for r in line.results[10:]} == {"1.1.0"}
    assert all(abs(r.models["m1"].return_time - 1) < 0.2 for r in line.results[2:])
    assert [r.state for r in line.results[-2:]] == ["live", "live"]
    windows = [w[0, :, 0] for w in (*old.windows, *new.windows)]
    assert len(windows) == (100 - WINDOW) // 2 + 1
    for before, after in itertools.pairwise(windows):
        assert np.array_equal(before[2:], after[:-2]), "every sample is in the windows, in order"
    assert line.lines == [""]


def test_a_model_alone_raises_and_clears_in_the_states_that_act() -> None:
    line = Line(learn="60 s", detect="", recover="5 s")
    line.place.put("1.0.0", Runner())
    line.rows(40, level=9)
    assert line.alarms == []
    line.rows(40)
    line.rows(40, level=9)
    line.rows(60)
    assert [(a.kind, a.state) for a in line.alarms] == [("process", "raised"), ("process", "cleared")]
    assert line.alarms[0].text == "model m1 1.0.0: unlike what it has learned"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: place.put("2.0.0", Runner(fails=True)), "model m1 2.0.0: the model failed: no room"),
        (lambda place: place.put("2.0.0", Runner(), channels=("c",)), "it wants channel c; the monitor has a, b"),
        (lambda place: place.put("2.0.0", Runner(), rate=5.0), "it is for 5 Hz, the stream has 1 Hz"),
        (lambda place: setattr(place, "serving", None), "model m1: nothing serves"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_is_told_and_the_engine_goes_on(change: Callable[[Place], None], words: str) -> None:
    line = Line(learn="60 s")
    line.place.put("1.0.0", Runner())
    line.rows(100)
    change(line.place)
    line.rows(40)
    assert words in line.lines[-1]
    assert line.results[-1].state == "live"
    line.place.put("3.0.0", Runner())
    line.rows(40)
    assert line.lines[-1] == ""
    assert line.results[-1].models["m1"].version == "3.0.0"


def test_an_input_that_is_not_as_in_training_is_an_alarm_of_low_severity() -> None:
    line = Line(learn="60 s", detect="", severity="high")
    deciles = (0.5, 0.872, 0.916, 0.948, 0.975, 1.0, 1.025, 1.052, 1.084, 1.128, 1.5)
    known = manifest("1.0.0", statistics=(Statistics(mean=1.0, deviation=0.1, quantiles=deciles),))
    line.place.serving = Serving("1", known, lambda: WindowScorer(known, Runner()), lambda: None, lambda: None)
    line.rows(1500)
    assert line.alarms == []
    assert line.results[-1].models["m1"].drift < 0.1
    line.rows(1500, level=1.2)
    assert [(a.kind, a.severity, a.state) for a in line.alarms] == [("drift", "low", "raised")]
    assert "channel a is not as in training" in line.alarms[0].text
    assert line.alarms[0].text.split(" (")[0] in line.lines[-1]
    line.rows(4000)
    assert line.alarms[-1].state == "cleared"


def test_the_default_model_knows_a_healthy_machine_from_a_faulty_one(tmp_path: Path) -> None:
    archive = default_model("vibration")
    assert archive is not None
    package = unpack(archive, tmp_path)
    runner = open_runner(package, package.manifest.variants[0], Options())
    serving = Serving(
        package.digest, package.manifest, lambda: WindowScorer(package.manifest, runner), lambda: None, lambda: None
    )
    monitor = {
        "asset": "press1", "input": "press1_vib", "learn": "4 s", "models": "vibration", "detect": "",
        "budget": "1 alarm/h",
    }  # fmt: skip
    config = convert({"monitors": {"m": monitor}}, Configuration)
    engine = Engine(config, models=lambda name: serving)
    raised = []
    fault = Fault("f", "outer_race", "press1", "z", 7 * NS, 10 * NS, 0.9, stream="vib")
    for end, items in play([Machine(Spec("press1", stops=False), 5, (fault,))], 10 * NS, began=BEGAN):
        raised += [(a.text, end) for a in engine.process(*items, now=BEGAN + end).alarms if a.state == "raised"]
    runner.close()
    assert [text for text, _ in raised] == ["model vibration 1.0.0: unlike what it has learned"]
    assert raised[0][1] > 7 * NS
