from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.models import ModelError, ModelRefused
from edgeloop.models.golden import Case
from edgeloop.models.manifest import Tensor
from edgeloop.models.package import Package, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.runners import Options, open_runner
from edgeloop.models.trial import Task

WEIGHTS = np.arange(8, dtype=np.float32).reshape(4, 2)


def opened(made: tuple[Path, str], into: Path) -> Package:
    return unpack(made[0], into, made[1])


def test_a_session_gives_what_the_model_says(make: Any, tmp_path: Path) -> None:
    package = opened(make(bias=0.5), tmp_path)
    runner = open_runner(package, package.manifest.variants[0])
    for case in package.cases():
        (output,) = runner.run(case.inputs["x"])
        np.testing.assert_allclose(output, case.outputs[0], rtol=1e-6, atol=1e-6)
    (one,) = runner.run({"x": np.ones((1, 4), np.float32)})
    assert one.shape == (1, 2)
    runner.close()
    with pytest.raises(ModelError, match="closed"):
        runner.run(np.ones((1, 4), np.float32))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.ones((1, 5), np.float32), r"x has shape \(1, 5\), \(n, 4\) is expected"),
        (np.ones((1, 4)), "x has type float64, float32 is expected"),
        ({"z": np.ones((1, 4), np.float32)}, "z given, x expected"),
    ],
)
def test_wrong_inputs_are_one_line(make: Any, tmp_path: Path, given: Any, words: str) -> None:
    package = opened(make(), tmp_path)
    runner = open_runner(package, package.manifest.variants[0])
    with pytest.raises(ModelError, match=words):
        runner.run(given)


def test_threads_share_a_session(make: Any, tmp_path: Path) -> None:
    package = opened(make(), tmp_path)
    runner = open_runner(package, package.manifest.variants[0])
    case = package.cases()[0]
    wrong: list[int] = []

    def work(n: int) -> None:
        x = case.inputs["x"] + np.float32(n)
        expected = runner.run(x)[0]
        for _ in range(50):
            if not np.array_equal(runner.run(x)[0], expected):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_model_that_is_not_as_its_manifest_says_is_refused(make: Any, tmp_path: Path) -> None:
    for changes, words in (
        ({"inputs": (Tensor(name="x", dtype="float32", shape=("n", 5)),)}, "an input of the model has another shape"),
        ({"inputs": (Tensor(name="x", dtype="int8", shape=("n", 4)),)}, "an input of the model has another type"),
        ({"inputs": (Tensor(name="z", dtype="float32", shape=("n", 4)),)}, "other inputs than its manifest says"),
        ({"outputs": (Tensor(name="z", dtype="float32", shape=("n", 2)),)}, "other outputs than its manifest says"),
    ):
        package = opened(make(**changes), tmp_path)
        with pytest.raises(ModelRefused, match=words):
            open_runner(package, package.manifest.variants[0])


def test_what_is_no_model_is_refused_in_one_line(make: Any, tmp_path: Path) -> None:
    package = opened(make(model=b"not a model"), tmp_path)
    with pytest.raises(ModelRefused, match="onnxruntime cannot load the model") as caught:
        open_runner(package, package.manifest.variants[0])
    assert "\n" not in str(caught.value)


def test_proof_in_a_process_of_its_own(make: Any, tmp_path: Path) -> None:
    package = opened(make(bias=1.0), tmp_path)
    outcome = Prover().prove(package, package.manifest.variants[0])
    assert outcome.error == ""
    assert outcome.worst <= 1
    assert outcome.agreement == 1
    assert 0 < outcome.latency < outcome.load + 10
    assert outcome.memory > 10_000_000


def test_wrong_answers_are_found(make: Any, tmp_path: Path) -> None:
    package = opened(make(bias=1.0, says=1.1), tmp_path)
    outcome = Prover().prove(package, package.manifest.variants[0])
    assert outcome.error.startswith("4 of 4 golden cases come out wrong")
    assert outcome.final


def test_memory_is_bounded(make: Any, tmp_path: Path) -> None:
    """In a process of its own, because the first model of a process sets its bound."""
    x = np.ones((200_000, 4), np.float32)
    package = opened(make(cases=[Case({"x": x}, [x @ WEIGHTS])]), tmp_path)
    assert Prover().prove(package, package.manifest.variants[0]).error == ""
    outcome = Prover().prove(package, package.manifest.variants[0], Task(options=Options(memory=1 << 20)))
    assert "it fails on its golden set: the model failed: Available memory of " in outcome.error
    assert outcome.final


def test_a_trial_that_takes_too_much_is_ended(make: Any, tmp_path: Path) -> None:
    package = opened(make(), tmp_path)
    late = Prover().prove(package, package.manifest.variants[0], timeout=0.05)
    assert "took more than 0.05 s" in late.error
    large = Prover().prove(
        package, package.manifest.variants[0], Task(options=Options(memory=1 << 20), memory=40 << 20)
    )
    assert large.error == "it takes more than 40 MiB of memory"
    prover = Prover()
    prover.cancel()
    assert not prover.prove(package, package.manifest.variants[0]).final
