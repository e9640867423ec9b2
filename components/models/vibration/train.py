"""Trains the default vibration model on simulated machines: `python train.py [--out FILE]`, half a minute.

The graph takes a window as the sensor gives it, (4096, 3) samples in m/s2 at 25.6 kHz:

    spectrum of each channel → energy of 24 bands, as logarithm
    band-pass 2.5-6 kHz → squared envelope → its spectrum up to 500 Hz, 40 lines, as logarithm
    → standardise → principal components of healthy machines → what they cannot explain, and how unusual the rest is

One number comes out, higher is more anomalous. Only healthy windows train it; machines with faults, of other seeds,
measure it. Sources: Randall and Antoni, Mechanical Systems and Signal Processing 25, 2011 (envelope); Jackson and
Mudholkar, Technometrics 21, 1979 (residuals of principal components).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.models import golden
from edgeloop.models.graph import Graph, area, run, versions
from edgeloop.models.manifest import Calibration, Card, Golden, Manifest, Provenance, Tensor, Variant, Window
from edgeloop.models.package import listed, pack
from edgeloop.sim.faults import Fault, Kind
from edgeloop.sim.machine import Machine
from edgeloop.sim.spec import Spec

SAMPLES, CHANNELS, RATE = 4096, 3, 25_600.0
BANDS, LINES = 24, 40
PASS = (2_500.0, 6_000.0)
HIGHEST = 500.0
NEAR: Final = 96
"""Lines of the envelope's spectrum that are looked at: 600 Hz."""
COMPONENTS = 12
TRAIN, TUNE, TEST = range(0, 40), range(40, 80), range(100, 130)
PER_SEED = 24
EVERY: Final = 2.5
"""s between two windows of one machine."""
BUDGET: Final = 600.0
"""s between two false alarms at the threshold."""
VERSION = "1.0.0"
MEASURED: tuple[Kind, ...] = ("outer_race", "imbalance")
Floats = NDArray[np.float32]


def bands() -> Floats:
    """(2049, BANDS): mean over the lines of each band, 10 Hz to 12.8 kHz, ever wider."""
    lines = np.arange(SAMPLES // 2 + 1) * RATE / SAMPLES
    edges = np.geomspace(10.0, RATE / 2 + 1, BANDS + 1)
    weights = np.zeros((len(lines), BANDS), np.float32)
    for band, (low, high) in enumerate(pairwise(edges)):
        inside = (lines >= low) & (lines < high)
        if not inside.any():
            inside[np.abs(lines - (low + high) / 2).argmin()] = True
        weights[inside, band] = 1 / inside.sum()
    return weights


def lines() -> Floats:
    """(NEAR, LINES): sum of the spectrum's lines around equally spaced frequencies up to HIGHEST."""
    frequency = np.arange(NEAR) * RATE / SAMPLES
    centre = (np.arange(LINES) + 1) * HIGHEST / LINES
    return (np.abs(frequency[:, None] - centre) <= HIGHEST / LINES / 2).astype(np.float32)


def features(graph: Graph) -> str:
    """From `window` (1, 4096, 3) to (1, CHANNELS * (BANDS + LINES))."""
    x = graph.add("Sub", "window", graph.add("ReduceMean", "window", axes=[1], keepdims=1))
    by_channel = graph.add("Transpose", x, perm=[2, 1, 0])
    hann = np.hanning(SAMPLES).astype(np.float32)[None, :, None]
    spectrum = graph.add("DFT", graph.add("Mul", by_channel, hann), axis=1, onesided=1)
    power = graph.add("ReduceSumSquare", spectrum, axes=[2], keepdims=0)
    energies = graph.add("Log", graph.add("Add", graph.add("MatMul", power, bands()), 1e-3))
    whole = graph.add("DFT", by_channel, axis=1)
    frequency = np.arange(SAMPLES) * RATE / SAMPLES
    mask = ((frequency >= PASS[0]) & (frequency <= PASS[1])).astype(np.float32)[None, :, None]
    analytic = graph.add("DFT", graph.add("Mul", whole, mask), axis=1, inverse=1)
    envelope = graph.add("ReduceSumSquare", analytic, axes=[2], keepdims=1)
    level = graph.add("Add", graph.add("ReduceMean", envelope, axes=[1], keepdims=1), 1e-9)
    relative = graph.add("Sub", graph.add("Div", envelope, level), 1.0)
    turning = graph.add("DFT", graph.add("Mul", relative, hann), axis=1, onesided=1)
    first = [np.array([value], np.int64) for value in (0, NEAR, 1)]
    turning = graph.add("Slice", turning, *first)
    strength = graph.add("ReduceSumSquare", turning, axes=[2], keepdims=0)
    orders = graph.add("Log", graph.add("Add", graph.add("MatMul", strength, lines()), 1.0))
    both = graph.add("Concat", energies, orders, axis=1)
    return graph.add("Reshape", both, np.array([1, CHANNELS * (BANDS + LINES)], np.int64))


@dataclass
class Normal:
    """What healthy windows are like. basis: (features, COMPONENTS); spread: of the components; residual: mean of the
    squares of what is left, by feature."""

    mean: Floats
    deviation: Floats
    basis: Floats
    spread: Floats
    residual: Floats

    @classmethod
    def fit(cls, x: Floats) -> Normal:
        mean, deviation = x.mean(axis=0), x.std(axis=0) + np.float32(0.05)
        z = (x - mean) / deviation
        _, _, vectors = np.linalg.svd(z, full_matrices=False)
        basis = vectors[:COMPONENTS].T
        rest = z - z @ basis @ basis.T
        return cls(mean, deviation, basis, (z @ basis).std(axis=0), (rest**2).mean(axis=0) + np.float32(1e-3))


def network(normal: Normal) -> bytes:
    """The whole graph: window → score (1,)."""
    graph = Graph("vibration", {"window": ("float32", (1, SAMPLES, CHANNELS))})
    z = graph.add("Div", graph.add("Sub", features(graph), normal.mean), normal.deviation)
    parts = graph.add("MatMul", z, np.ascontiguousarray(normal.basis))
    rest = graph.add("Sub", z, graph.add("MatMul", parts, np.ascontiguousarray(normal.basis.T)))
    left = graph.add("Div", graph.add("Mul", rest, rest), normal.residual)
    capped = graph.add("Min", left, 400.0)
    unusual = graph.add("Div", parts, normal.spread)
    usual = graph.add("ReduceMean", graph.add("Mul", unusual, unusual), axes=[1], keepdims=0)
    largest = graph.add("Mul", graph.add("ReduceMax", capped, axes=[1], keepdims=0), 0.03)
    average = graph.add("Add", graph.add("ReduceMean", capped, axes=[1], keepdims=0), graph.add("Mul", usual, 0.2))
    total = graph.add("Add", average, largest)
    graph.add("Log", graph.add("Add", total, 1e-3), output="score")
    return graph.encode({"score": (1,)})


def windows(seed: int, count: int, kind: Kind | None = None) -> Iterator[Floats]:
    """Windows (1, SAMPLES, CHANNELS) in m/s2 of one running machine, healthy or with one fault all the time."""
    name = "press1"
    spec = Spec(name, stops=False)
    end = int((EVERY * count + 10) * NS)
    severity = 0.5 + 0.5 * ((seed * 7) % 11) / 10
    faults = [Fault(f"{name}-0-{kind}", kind, name, "", 0, end, severity, stream="vib")] if kind else []
    machine = Machine(spec, seed, faults)
    scale = np.float32(spec.vibration_channels[0].scale)
    for k in range(count):
        yield machine.vibration(int((5 + k * EVERY) * RATE), SAMPLES)[None].astype(np.float32) * scale


def collect(model: bytes, seeds: Sequence[int], count: int, kind: Kind | None = None) -> Floats:
    found = [outputs[0].ravel() for seed in seeds for outputs in run(model, windows(seed, count, kind))]
    return np.stack(found)


def calibration(scores: NDArray[Any]) -> Calibration:
    """Return times of scores: an exponential tail above the 95th percentile of windows that were not trained on (one
    window each SAMPLES / RATE s)."""
    period = SAMPLES / RATE
    threshold = float(np.quantile(scores, 0.95))
    slope = max(1e-3, float((scores[scores > threshold] - threshold).mean()))
    values = threshold + slope * np.linspace(0, 25, 26)
    times = np.log10(period / (0.05 * np.exp(-(values - threshold) / slope)))
    return Calibration(
        scores=tuple(round(float(v), 4) for v in values), return_times=tuple(round(float(v), 3) for v in times)
    )


def measure(model: bytes, threshold: float, count: int = 12) -> dict[str, float]:
    """On machines of other seeds."""
    good = collect(model, TEST, count).ravel()
    metrics = {"windows": float(len(good)), "false_alarms": float((good >= threshold).mean())}
    for kind in MEASURED:
        bad = collect(model, TEST, count, kind).ravel()
        both, labels = np.concatenate([good, bad]), np.repeat([False, True], [len(good), len(bad)])
        metrics[f"auroc_{kind}"] = area(both, labels)
        metrics[f"found_{kind}"] = float((bad >= threshold).mean())
    return {name: round(value, 4) for name, value in metrics.items()}


def package(out: Path, model: bytes, calibrated: Calibration, threshold: float, metrics: dict[str, float]) -> str:
    """Writes the package; its digest."""
    chosen = [*windows(TEST[0], 1), *windows(TEST[0], 1, "outer_race")]
    cases = [golden.Case({"window": w}, list(o)) for w, o in zip(chosen, run(model, chosen), strict=True)]
    files = {"model.onnx": model, "golden.npz": golden.encode(cases)}
    names = tuple(channel.name for channel in Spec().vibration_channels)
    manifest = Manifest(
        schema=1,
        name="vibration",
        version=VERSION,
        task="anomaly",
        files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="window", dtype="float32", shape=(1, SAMPLES, CHANNELS)),),
        outputs=(Tensor(name="score", dtype="float32", shape=(1,)),),
        golden=Golden(absolute=5e-3, relative=1e-3),
        preprocessing=(
            Window(input="window", samples=SAMPLES, channels=names, rate=RATE, hop=SAMPLES, units=("m/s2",) * CHANNELS),
        ),
        labels=("good", "anomaly"),
        thresholds={"fail": threshold},
        calibration=calibrated,
        metrics=metrics,
        provenance=Provenance(
            code="components/models/vibration/train.py",
            data=f"edgeloop.sim, healthy machines of seeds {TRAIN[0]}-{TUNE[-1]}, {PER_SEED} windows of each",
            tools=versions(),
        ),
        card=Card(
            description="How unlike a healthy simulated machine a window of vibration is.",
            use="To try models beside the streaming detectors, and as a first form to train anew.",
            limits="It knows the simulated machine only, running; on real machines it has to be trained anew. Metrics: "
            f"seeds {TEST[0]}-{TEST[-1]}, severities from 0.5, each window alone, a false alarm in ten minutes.",
            licence="Apache-2.0",
        ),
    )
    return pack(out, manifest, files)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="train the default vibration model")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("vibration.tar"))
    arguments = parser.parse_args(argv)
    front = Graph("features", {"window": ("float32", (1, SAMPLES, CHANNELS))})
    last = features(front)
    bank = front.encode({last: (1, CHANNELS * (BANDS + LINES))})
    model = network(Normal.fit(collect(bank, TRAIN, PER_SEED)))
    calibrated = calibration(collect(model, TUNE, PER_SEED).ravel())
    threshold = calibrated.scores[int(np.searchsorted(calibrated.return_times, np.log10(BUDGET)))]
    metrics = measure(model, threshold)
    digest = package(arguments.out, model, calibrated, threshold, metrics)
    print(f"{arguments.out} {arguments.out.stat().st_size:,} B, digest {digest[:12]}")
    for name, value in metrics.items():
        print(f"  {name:<20}{value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
