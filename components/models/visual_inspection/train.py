"""Trains the default visual-inspection model on the simulated conveyor: `python train.py [--out FILE]`, a minute.

The graph takes the image as the camera gives it, (240, 320, 3) bytes:

    brightness, red against blue → subtract the surroundings, divide by their brightness → oriented line and blob
    filters at two scales → energy of each cell of 8 × 8 pixels, as logarithm → what the cells around have → a small
    network for each cell → the worst cell of each kind → probabilities

so that the level and the colour of the light cancel out. The filters are given; the network is trained on parts of
some seeds, its decision calibrated on others, and the metrics of the manifest come from a third set.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import golden
from edgeloop.models.graph import Graph, area, run, versions
from edgeloop.models.head import Pictures
from edgeloop.models.manifest import Calibration, Card, Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack
from edgeloop.models.pictures import measure as measured
from edgeloop.models.pictures import usual as summed
from edgeloop.sim.conveyor import DEFECTS, Camera, Conveyor

HEIGHT, WIDTH, CELL = 240, 320, 8
LABELS = ("good", *DEFECTS)
TRAIN, TUNE, TEST = range(0, 70), range(70, 100), range(100, 120)
PER_SEED = 20
VERSION = "1.0.0"
SEED: Final = 1
HIDDEN: Final = 24
MAP: Final = 0.5
Floats = NDArray[np.float32]


def filters() -> Floats:
    """Second derivatives in four directions at two widths, and two blobs: (10, 1, 7, 7), each of mean 0."""
    y, x = np.mgrid[-3:4, -3:4].astype(np.float32)
    bank = []
    for width in (0.8, 1.5):
        envelope = np.exp(-(x * x + y * y) / (2 * 2.2**2))
        for angle in np.arange(4) * np.pi / 4:
            across = np.cos(angle) * y - np.sin(angle) * x
            bank.append(envelope * (1 - across**2 / width**2) * np.exp(-(across**2) / (2 * width**2)))
    bank.append(x * np.exp(-(x * x + y * y) / 8))
    bank.append(y * np.exp(-(x * x + y * y) / 8))
    kernels = np.stack([k - k.mean() for k in bank])
    kernels /= np.sqrt((kernels**2).sum(axis=(1, 2), keepdims=True))
    return kernels[:, None].astype(np.float32)


def features(graph: Graph) -> str:
    """From `image` to (1, features, 30, 40)."""
    pixels = graph.add("Cast", "image", to=1)
    planes = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    mix = np.array([[0.299, 0.587, 0.114], [1.0, 0.0, -1.0]], np.float32)[:, :, None, None] / 255
    mixed = graph.add("Conv", planes, mix)
    grey = graph.add("Slice", mixed, *_ints([0], [1], [1]))
    tint = graph.add("Slice", mixed, *_ints([1], [2], [1]))
    around = graph.add("AveragePool", grey, kernel_shape=[25, 25], pads=[12] * 4, count_include_pad=0)
    level = graph.add("Add", around, 0.02)
    flat = graph.add("Div", graph.add("Sub", grey, around), level)
    answers = graph.add("Conv", flat, filters(), pads=[3, 3, 3, 3])
    cells: dict[str, Any] = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    energy = graph.add(
        "Log", graph.add("Add", graph.add("AveragePool", graph.add("Mul", answers, answers), **cells), 1e-4)
    )
    peak = graph.add("Log", graph.add("Add", graph.add("MaxPool", graph.add("Abs", answers), **cells), 1e-2))
    mean = graph.add("AveragePool", flat, **cells)
    low = graph.add("AveragePool", graph.add("Mul", flat, flat), **cells)
    hue = graph.add("AveragePool", graph.add("Div", tint, level), **cells)
    wide: dict[str, Any] = {"kernel_shape": [11, 11], "pads": [5] * 4, "count_include_pad": 0}
    other = graph.add("Sub", hue, graph.add("AveragePool", hue, **wide))
    dark = graph.add("Log", graph.add("Add", graph.add("AveragePool", grey, **cells), 0.02))
    darker = graph.add("Sub", dark, graph.add("AveragePool", dark, **wide))
    own = graph.add("Concat", energy, peak, mean, graph.add("Sqrt", low), other, dark, darker, axis=1)
    near = graph.add("AveragePool", own, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=0)
    far = graph.add("AveragePool", own, kernel_shape=[7, 7], pads=[3] * 4, count_include_pad=0)
    worst = graph.add("MaxPool", own, kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])
    return graph.add("Concat", own, near, far, worst, axis=1)


def _ints(*values: list[int]) -> list[NDArray[np.int64]]:
    return [np.array(v, np.int64) for v in values]


@dataclass(frozen=True)
class Set:
    """features: (parts, features, cells); labels: (parts, cells), 0..3; kinds: (parts,)."""

    features: Floats
    labels: NDArray[np.int8]
    kinds: NDArray[np.int8]


def collect(model: bytes, seeds: Sequence[int], per_seed: int, defective: float) -> Set:
    """Parts from everywhere in the first hour of each seed."""
    found, labels, kinds = [], [], []
    for seed in seeds:
        camera = Camera(Conveyor("gate", seed, WIDTH, HEIGHT, defective=defective))
        numbers = range(0, 18_000, 18_000 // per_seed)[:per_seed]
        for number, outputs in zip(numbers, run(model, (camera.image(n)[None] for n in numbers)), strict=True):
            found.append(outputs[0].reshape(outputs[0].shape[1], -1).astype(np.float32))
            labels.append(_cells(camera.mask(number)))
            kinds.append(LABELS.index(camera.part(number).kind))
    return Set(np.stack(found), np.stack(labels), np.array(kinds, np.int8))


def _cells(mask: NDArray[np.int8]) -> NDArray[np.int8]:
    """The kind that covers most of a cell, where it covers 6 % of it; −1 where it touches it only."""
    blocks = mask.reshape(HEIGHT // CELL, CELL, WIDTH // CELL, CELL).swapaxes(1, 2).reshape(-1, CELL * CELL)
    counts = np.stack([(blocks == k).sum(axis=1) for k in range(1, len(LABELS))], axis=1)
    best = counts.argmax(axis=1) + 1
    most = counts.max(axis=1)
    return np.where(most >= 4, best, np.where(most > 0, -1, 0)).astype(np.int8)


@dataclass
class Head:
    """The network for each cell: standardise, two layers, logits of LABELS; then `scale` and `shift` of each kind."""

    mean: Floats
    deviation: Floats
    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    scale: float = 1.0
    shift: float = 0.0

    def logits(self, x: Floats) -> Floats:
        z = (x - self.mean) / self.deviation
        hidden = np.maximum(z @ self.first + self.first_bias, 0)
        return np.asarray(hidden @ self.second + self.second_bias)


def fit(data: Set, rng: np.random.Generator) -> Head:
    """Adam (Kingma and Ba, 2015) on the cross-entropy of cells; defects and the hardest good cells weigh more."""
    x = data.features.transpose(0, 2, 1).reshape(-1, data.features.shape[1])
    y = data.labels.ravel()
    keep = y >= 0
    keep &= (y > 0) | (rng.uniform(size=len(y)) < 0.5)
    x, kinds = x[keep], y[keep].astype(np.int64)
    mean, deviation = x.mean(axis=0), x.std(axis=0) + np.float32(1e-3)
    n = x.shape[1]
    head = Head(
        mean, deviation,
        (rng.standard_normal((n, HIDDEN)) / np.sqrt(n)).astype(np.float32), np.zeros(HIDDEN, np.float32),
        (rng.standard_normal((HIDDEN, len(LABELS))) / np.sqrt(HIDDEN)).astype(np.float32),
        np.array([3.0, 0.0, 0.0, 0.0], np.float32),
    )  # fmt: skip
    parameters = [head.first, head.first_bias, head.second, head.second_bias]
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    z = (x - mean) / deviation
    weight = np.array([1.0, 3.0, 3.0, 1.5], np.float32)[kinds]
    step, batch, epochs = 0, 1024, 14
    for epoch in range(epochs):
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        order = rng.permutation(len(z))
        for start in range(0, len(z) - batch, batch):
            pick = order[start : start + batch]
            step += 1
            for p, g, (m, v) in zip(
                parameters, _gradients(head, z[pick], kinds[pick], weight[pick]), moments, strict=True
            ):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                p -= rate * (m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8) + 3e-3 * p).astype(
                    np.float32
                )
    return head


def _gradients(head: Head, z: Floats, y: NDArray[np.int64], weight: Floats) -> list[Floats]:
    before = z @ head.first + head.first_bias
    hidden = np.maximum(before, 0)
    logits = hidden @ head.second + head.second_bias
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    p *= weight[:, None] / weight.sum()
    back = (p @ head.second.T) * (before > 0)
    return [z.T @ back, back.sum(axis=0), hidden.T @ p, p.sum(axis=0)]


def margins(head: Head, data: Set) -> Floats:
    """By part and kind of defect: the worst cell's logit against `good`, (parts, kinds)."""
    logits = head.logits(data.features.transpose(0, 2, 1))
    return np.asarray((logits[:, :, 1:] - logits[:, :, :1]).max(axis=1))


def calibrate(head: Head, data: Set) -> None:
    """Platt's scale and shift: a part's probability to be bad is true on parts that were not trained on."""
    m = margins(head, data).max(axis=1).astype(np.float64)
    bad = (data.kinds > 0).astype(np.float64)
    centre, spread = float(np.median(m)), float(m.std())
    design = np.stack([(m - centre) / spread, np.ones_like(m)])
    ab = np.zeros(2)
    for _ in range(2000):
        ab += 4.0 / len(m) * (design @ (bad - 1 / (1 + np.exp(-np.clip(ab @ design, -40, 40)))) - 1e-3 * ab)
    head.scale, head.shift = float(ab[0] / spread), float(ab[1] - ab[0] * centre / spread)


def network(head: Head) -> bytes:
    """The whole graph: image → probabilities (1, 4) and map (30, 40)."""
    graph = Graph("visual_inspection", {"image": ("uint8", (1, HEIGHT, WIDTH, 3))})
    x = features(graph)
    scaled = (head.first / head.deviation[:, None]).astype(np.float32)
    bias = (head.first_bias - (head.mean / head.deviation) @ head.first).astype(np.float32)
    hidden = graph.add("Relu", graph.add("Conv", x, scaled.T[:, :, None, None].copy(), bias))
    contrast = (head.second[:, 1:] - head.second[:, :1]).T[:, :, None, None]
    against = (head.second_bias[1:] - head.second_bias[0]).astype(np.float32)
    margin = graph.add("Conv", hidden, contrast.astype(np.float32).copy(), against)
    scored = graph.add("Add", graph.add("Mul", margin, head.scale), head.shift)
    worst = graph.add("Reshape", graph.add("ReduceMax", scored, axes=[2, 3], keepdims=1), np.array([1, 3], np.int64))
    share = graph.add("Softmax", worst, axis=1)
    bad = graph.add("Sigmoid", graph.add("ReduceMax", worst, axes=[1], keepdims=1))
    graph.add("Concat", graph.add("Sub", 1.0, bad), graph.add("Mul", share, bad), axis=1, output="probabilities")
    cells = graph.add("Sigmoid", graph.add("ReduceMax", scored, axes=[1], keepdims=1))
    graph.add("Reshape", cells, np.array([HEIGHT // CELL, WIDTH // CELL], np.int64), output="map")
    return graph.encode({"probabilities": (1, len(LABELS)), "map": (HEIGHT // CELL, WIDTH // CELL)})


def measure(model: bytes, seeds: Sequence[int], per_seed: int, defective: float = 0.5) -> dict[str, float]:
    """What the finished model makes of parts of other seeds, at the threshold of the manifest."""
    truth, guesses, scores, severities = [], [], [], []
    for seed in seeds:
        camera = Camera(Conveyor("gate", seed, WIDTH, HEIGHT, defective=defective))
        numbers = range(3, 18_000, 18_000 // per_seed)[:per_seed]
        for number, outputs in zip(numbers, run(model, (camera.image(n)[None] for n in numbers)), strict=True):
            part = camera.part(number)
            p = outputs[0].ravel()
            truth.append(LABELS.index(part.kind))
            severities.append(max((d.severity for d in part.defects), default=0.0))
            scores.append(float(1 - p[0]))
            guesses.append(int(1 + p[1:].argmax()) if scores[-1] >= MAP else 0)
    kinds, found, score, severity = map(np.array, (truth, guesses, scores, severities))
    bad = kinds > 0
    metrics = {
        "parts": float(len(kinds)),
        "auroc": area(score, bad),
        "found": float((found[bad] > 0).mean()),
        "found_severe": float((found[bad & (severity >= 0.5)] > 0).mean()),
        "false_rejects": float((found[~bad] > 0).mean()),
        "right_kind": float((found[bad] == kinds[bad])[found[bad] > 0].mean()),
        "calibration_error": _calibration_error(score, bad),
    }
    for k, name in enumerate(DEFECTS, 1):
        metrics[f"found_{name}"] = float((found[kinds == k] > 0).mean())
    return {name: round(value, 4) for name, value in metrics.items()}


def _calibration_error(score: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    bins = np.minimum((score * 10).astype(int), 9)
    return float(sum(abs(score[bins == b].mean() - bad[bins == b].mean()) * (bins == b).mean() for b in set(bins)))


def cases(model: bytes) -> list[golden.Case]:
    camera = Camera(Conveyor("gate", TEST[0], WIDTH, HEIGHT, defective=0.5))
    images = [camera.image(next(n for n in range(2000) if camera.part(n).kind == DEFECTS[0]))]
    outputs = run(model, (image[None] for image in images))
    return [golden.Case({"image": i[None]}, list(o)) for i, o in zip(images, outputs, strict=True)]


def usual() -> Pictures:
    """What pictures of the training's parts are like."""
    found = []
    for seed in TRAIN[:40]:
        camera = Camera(Conveyor("gate", seed, WIDTH, HEIGHT))
        found += [measured(camera.image(number)) for number in range(0, 18_000, 900)]
    return summed(found)


def package(out: Path, model: bytes, metrics: dict[str, float]) -> str:
    """Writes the package; its digest."""
    files = {"model.onnx": model, "golden.npz": golden.encode(cases(model))}
    manifest = Manifest(
        schema=2,
        name="visual_inspection",
        version=VERSION,
        task="classification",
        files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=(1, HEIGHT, WIDTH, 3)),),
        outputs=(
            Tensor(name="probabilities", dtype="float32", shape=(1, len(LABELS))),
            Tensor(name="map", dtype="float32", shape=(HEIGHT // CELL, WIDTH // CELL)),
        ),
        golden=Golden(absolute=2e-3, relative=1e-3),
        preprocessing=(Image(input="image", width=WIDTH, height=HEIGHT, colour="rgb", layout="nhwc"),),
        labels=LABELS,
        thresholds={"fail": MAP},
        calibration=Calibration(),
        metrics=metrics,
        provenance=Provenance(
            code="components/models/visual_inspection/train.py",
            data=f"edgeloop.sim.conveyor, seeds {TRAIN[0]}-{TUNE[-1]}, {PER_SEED} parts of each",
            seed=SEED,
            tools=versions(),
        ),
        card=Card(
            description="Scratches, dents and stains on the plates of the simulated conveyor, with a map of where.",
            use="To try visual inspection without a camera, and as a first form to train anew.",
            limits=f"It knows simulated plates only. Metrics: seeds {TEST[0]}-{TEST[-1]}, half of the parts defective, "
            "severities from 0.3; on real parts it has to be trained anew.",
            licence="Apache-2.0",
        ),
        pictures=usual(),
    )
    return pack(out, manifest, files)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="train the default visual-inspection model")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("visual_inspection.tar"))
    arguments = parser.parse_args(argv)
    rng = np.random.default_rng(SEED)
    front = Graph("features", {"image": ("uint8", (1, HEIGHT, WIDTH, 3))})
    last = features(front)
    bank = front.encode({last: (1, "features", HEIGHT // CELL, WIDTH // CELL)})
    head = fit(collect(bank, TRAIN, PER_SEED, 0.6), rng)
    calibrate(head, collect(bank, TUNE, PER_SEED, 0.5))
    model = network(head)
    metrics = measure(model, TEST, 60)
    digest = package(arguments.out, model, metrics)
    print(f"{arguments.out} {arguments.out.stat().st_size:,} B, digest {digest[:12]}")
    for name, value in metrics.items():
        print(f"  {name:<20}{value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
