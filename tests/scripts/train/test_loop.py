"""Healthy samples to a package to a monitor that knows faults when it sees them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from anomaly_inference.configuration import Configuration
from anomaly_inference.engine import Engine
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.detect.models import Serving
from edgeloop.models.drift import Drift
from edgeloop.models.manifest import Window
from edgeloop.models.package import Package, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.runners import Options, Runner, open_runner
from edgeloop.models.scoring import WindowScorer
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import Machine
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Channel

from .conftest import BEGAN, NAMES, ROWS, SEED, UNITS, Rows, Train, csv, parquet

LATER = ROWS + 600
"""First row after the training data that is played."""
SECONDS = 300
ONSET = 120


@pytest.fixture(scope="module")
def package(healthy: Rows, tmp_path_factory: pytest.TempPathFactory) -> Package:
    from edgeloop_tools.cli import main

    folder = tmp_path_factory.mktemp("trained")
    source = parquet(folder / "uploaded", healthy)
    words = ["--input", str(source), "--name", "press1", "--version", "2.1.0", "--model-dir", str(folder)]
    assert main(["train", "timeseries", "--json", *words]) == 0
    return unpack(folder / "press1-2.1.0.tar", folder / "store")


@pytest.fixture(scope="module")
def runner(package: Package) -> Runner:
    return open_runner(package, package.manifest.variants[0], Options())


def played(fault: Fault | None) -> Rows:
    values: Rows = Machine(Spec("press1", stops=False), SEED, [fault] if fault else []).slow(LATER, SECONDS * 10)
    return values


def drift(seed: int, channel: str) -> Fault:
    rng = np.random.default_rng([99, seed])
    start = (LATER // 10 + ONSET) * NS + int(rng.uniform(0, 20) * NS)
    severity = float(rng.uniform(0.7, 1.0))
    return Fault(f"f{seed}", "drift", "press1", channel, start, start + 100 * NS, severity, stream="slow")


def test_the_manifest_says_what_it_was_made_of(package: Package) -> None:
    manifest = package.manifest
    assert manifest.inputs[0].shape == (1, 64, 4)
    assert {"false_alarms_per_week", "healthy_hours", "exceedances_to_expected"} <= set(manifest.metrics)
    assert manifest.provenance.data.startswith("sha256:")
    assert f"{ROWS} rows" in manifest.provenance.data
    assert manifest.provenance.seed == 1
    assert manifest.card.limits
    times = np.array(manifest.calibration.return_times)
    assert (np.diff(times) >= 0).all()
    assert (np.diff(manifest.calibration.scores) > 0).all()
    assert times[-1] == 15.0


def test_a_device_would_take_it(package: Package) -> None:
    outcome = Prover().prove(package, package.manifest.variants[0])
    assert outcome.error == ""
    assert outcome.agreement == 1


def test_statistics_and_units_are_those_of_the_channels(package: Package, healthy: Rows) -> None:

    window = package.manifest.preprocessing[0]
    assert isinstance(window, Window)
    assert window.channels == NAMES
    assert window.units == UNITS
    assert window.rate == 10.0
    for i, known in enumerate(window.statistics):
        learned = healthy[: int(0.6 * len(healthy)), i]
        assert known.mean == pytest.approx(float(learned.mean()), abs=0.05 * float(learned.std()))
        assert known.quantiles[0] == pytest.approx(float(learned.min()), abs=float(learned.std()))
        assert len(known.quantiles) == 21


def test_healthy_rows_to_come_score_low(package: Package, runner: Runner) -> None:
    times = WindowScorer(package.manifest, runner).update(played(None))
    assert len(times) == SECONDS * 10
    assert np.median(times) < 2
    assert times.max() < 5.78


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("channel", ["temperature", "pressure"])
def test_faults_of_seeds_never_seen_score_high(package: Package, runner: Runner, seed: int, channel: str) -> None:
    fault = drift(seed, channel)
    times = WindowScorer(package.manifest, runner).update(played(fault))
    begin, end = ((t // (NS // 10)) - LATER for t in (fault.start, fault.end))
    assert times[:begin].max() < 5.78
    assert times[begin:end].max() >= 5.78


@pytest.mark.parametrize("faulty", [False, True])
def test_a_monitor_raises_for_faults_alone(package: Package, runner: Runner, faulty: bool) -> None:
    counts = {"used": 0, "failed": 0}
    serving = Serving(
        package.digest, package.manifest, lambda: WindowScorer(package.manifest, runner),
        lambda: counts.update(used=counts["used"] + 1), lambda: counts.update(failed=counts["failed"] + 1),
    )  # fmt: skip
    monitor = {"asset": "press1", "input": "press1_slow", "models": "press1", "detect": "", "learn": "10 s"}
    engine = Engine(convert({"monitors": {"m": monitor}}, Configuration), models=lambda name: serving)
    fault = drift(11, "pressure")
    values = played(fault if faulty else None)
    channels = tuple(Channel(name, unit) for name, unit in zip(NAMES, UNITS, strict=True))
    raised, seen = [], []
    for at in range(0, len(values), 10):
        time = BEGAN + (LATER + at) * (NS // 10)
        batch = Batch("press1_slow", 1, at, time, channels, values[at : at + 10], rate=Fraction(10))
        outcome = engine.process(batch, now=time + NS)
        raised += [a for a in outcome.alarms if a.state == "raised"]
        seen += [r.models["press1"] for r in outcome.results if "press1" in r.models]
    assert counts["failed"] == 0
    assert counts["used"] > 200
    assert seen[-1].version == "2.1.0"
    assert [a.text for a in raised] == (["model press1 2.1.0: unlike what it has learned"] if faulty else [])
    if faulty:
        assert raised[0].cause.index >= fault.start // (NS // 10) - LATER


def test_the_same_data_and_seed_give_the_same_bytes(short: Rows, train: Train, tmp_path: Path) -> None:
    from_csv = csv(tmp_path / "data" / "press1_slow.csv", short)
    one = train("--input", from_csv, "--model-dir", tmp_path / "one")
    two = train("--input", tmp_path / "data", "--name", "press1_slow", "--model-dir", tmp_path / "two")
    assert one["digest"] == two["digest"]
    assert Path(one["package"]).read_bytes() == Path(two["package"]).read_bytes()


def test_an_autoencoder_is_a_model_too(short: Rows, train: Train, tmp_path: Path) -> None:
    source = csv(tmp_path / "press1.csv", short)
    words = ("--input", source, "--method", "autoencoder", "--epochs", "15", "--model-dir", tmp_path)
    said = train(*words)
    assert said["name"] == "press1"
    assert train(*words)["digest"] == said["digest"]
    assert train(*words, "--seed", "2")["digest"] != said["digest"]
    package = unpack(Path(said["package"]), tmp_path / "store")
    runner = open_runner(package, package.manifest.variants[0], Options())
    strange = short[:64].copy()
    strange[:, 0] += 3
    usual, unusual = (float(runner.run(w[None])[0][0]) for w in (short[:64], strange))
    assert unusual > package.manifest.thresholds["alarm"] > usual


def test_what_wanders_has_not_drifted_and_what_moved_has(package: Package) -> None:
    window = package.manifest.preprocessing[0]
    assert isinstance(window, Window)
    known = dict(zip(window.channels, window.statistics, strict=True))
    wandering, moved = Drift(known, NAMES), Drift(known, NAMES)
    values = played(None)
    other = values + np.array([3, 0, 0, 0], np.float32)
    seen = [
        (wandering.update(values[a : a + 100]), moved.update(other[a : a + 100])) for a in range(0, len(values), 100)
    ]
    assert not any(here for here, _ in seen)
    assert seen[-1][1]
    assert moved.worst[0] == "temperature"
