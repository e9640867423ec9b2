"""A detector without PyTorch: a small network learned on the frozen features of each place of a picture.

    image → backbone → strides 4, 8, 16 of a place, and what is around it → hidden layer → class, and where its box ends

One graph, whose outputs CameraInference's `boxes` decoder reads. A place is 8 × 8 pixels of the model's input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import onnxfile
from edgeloop.models.graph import Graph
from edgeloop.teach import backbone
from edgeloop.teach.backbone import Floats, Pixels
from edgeloop.teach.network import CELL, Run
from edgeloop_tools.label.dataset import Box
from edgeloop_tools.train.images.learn import softmax

CHANNELS: Final = 4 * 24 + 40 + 112
SHARP: Final = 3 * 4 * 4
"""Numbers of a place's pixels, two by two."""
COUNT: Final = 2 * CHANNELS + 9 * SHARP
"""Numbers of a place: its features, their mean of 5 × 5 around it, and the pixels of 3 × 3."""
HIDDEN: Final = 256
CORE: Final = 0.6
"""Of a box, around its middle: places there are of its class; the rest of it is not asked."""
UNIT: Final = 16.0
"""Pixels: of the distances to a box's sides."""
NEGATIVES: Final = 160
"""Places of each picture that show nothing."""
HARD: Final = 80
"""Of these, in the second round: where the first network saw something."""
EPOCHS, BATCH, RATE, DECAY = 24, 512, 2e-3, 1e-4
NOTHING, UNASKED = 0, -1
FLOAT: Final = 1
"""The number of float32 among ONNX's types."""
Ints = NDArray[np.intp]
Told = Callable[[str], None]
Found = tuple[str, float, float, float, float, float]
"""Label, score, left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Network:
    """Two layers: (COUNT, HIDDEN), (HIDDEN, 1 + classes + 4), with what is added to each."""

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats


@dataclass(slots=True)
class Example:
    """Places of pictures: features (n, COUNT), class (n) with 0 for nothing, distances to the box's sides (n, 4)."""

    x: NDArray[np.float16]
    kind: Ints
    sides: Floats


def describe(height: int, width: int) -> Graph:
    """From `image` to `places`: (1, COUNT, height / 8, width / 8)."""
    graph = Graph("detector", {"image": ("uint8", (1, height, width, 3))}, prefix="d.")
    fine = graph.add("SpaceToDepth", "s4", blocksize=2)
    coarse = graph.add(
        "Resize", "s16", "", np.array([1, 1, 2, 2], np.float32), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    own = graph.add("Concat", fine, "s8", coarse, axis=1)
    around = graph.add("AveragePool", own, kernel_shape=[5, 5], pads=[2, 2, 2, 2], count_include_pad=0)
    graph.add("Concat", own, around, *_pixels(graph, height, width), axis=1, output="places")
    return graph


def _pixels(graph: Graph, height: int, width: int) -> list[str]:
    """Of each place and the eight around it, two by two."""
    moved = graph.add("Transpose", graph.add("Cast", "image", to=FLOAT), perm=[0, 3, 1, 2])
    halved = graph.add("AveragePool", graph.add("Mul", moved, 1 / 255), kernel_shape=[2, 2], strides=[2, 2])
    cells = graph.add("SpaceToDepth", halved, blocksize=4)
    padded = graph.add("Pad", cells, np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    rows, columns = height // CELL, width // CELL
    return [
        graph.add("Slice", padded, *_ints([y, x], [y + rows, x + columns], [2, 3])) for y in range(3) for x in range(3)
    ]


def describer(height: int, width: int) -> bytes:
    shape = (1, COUNT, height // CELL, width // CELL)
    return onnxfile.write(describe(height, width), {"places": shape}, backbone.content())


def places(run: Run, pixels: Pixels) -> Floats:
    """(places, COUNT)."""
    found = run(pixels)[0]
    return np.ascontiguousarray(found.reshape(COUNT, -1).T)


def targets(boxes: Sequence[Box], classes: Sequence[str], height: int, width: int) -> tuple[Ints, Floats]:
    """Class and sides of each place. boxes: in pixels of the model's input.

    >>> kind, sides = targets([Box("a", 8, 8, 40, 40)], ["a"], 64, 64)
    >>> kind.reshape(8, 8)[3].tolist(), (sides[3 * 8 + 3] * 16).tolist()
    ([0, -1, 1, 1, 1, -1, 0, 0], [20.0, 20.0, 20.0, 20.0])
    """
    rows, columns = height // CELL, width // CELL
    y, x = np.meshgrid((np.arange(rows) + 0.5) * CELL, (np.arange(columns) + 0.5) * CELL, indexing="ij")
    kind = np.zeros((rows, columns), np.intp)
    sides = np.zeros((rows, columns, 4), np.float32)
    for box in sorted(boxes, key=lambda b: -b.width * b.height):
        left, top, right, bottom = box.x, box.y, box.x + box.width, box.y + box.height
        kind[(x > left - CELL / 2) & (x < right + CELL / 2) & (y > top - CELL / 2) & (y < bottom + CELL / 2)] = UNASKED
        reach = max(CELL / 2, CORE * box.width / 2), max(CELL / 2, CORE * box.height / 2)
        core = (np.abs(x - (left + right) / 2) <= reach[0]) & (np.abs(y - (top + bottom) / 2) <= reach[1])
        kind[core] = 1 + classes.index(box.label)
        sides[core] = np.stack([x - left, y - top, right - x, bottom - y], axis=-1)[core] / UNIT
    return kind.ravel(), sides.reshape(-1, 4)


def gathered(
    run: Run, pictures: Iterable[tuple[Pixels, Sequence[Box]]], classes: Sequence[str], rng: np.random.Generator,
    seen: Network | None = None,
) -> Example:  # fmt: skip
    """All places that show something, and of each picture some that do not. seen: where that network errs first."""
    rows, kinds, ends = [], [], []
    for pixels, boxes in pictures:
        found = places(run, pixels)
        kind, sides = targets(boxes, classes, *pixels.shape[:2])
        empty = np.flatnonzero(kind == NOTHING)
        chosen = rng.choice(empty, min(len(empty), NEGATIVES - HARD), replace=False)
        if seen is not None:
            doubt = 1 - chances(seen, found[empty], len(classes))[:, 0]
            chosen = np.unique(np.concatenate([chosen, empty[np.argsort(-doubt)[:HARD]]]))
        chosen = np.concatenate([np.flatnonzero(kind > 0), chosen])
        rows.append(found[chosen].astype(np.float16))
        kinds.append(kind[chosen])
        ends.append(sides[chosen])
    return Example(np.concatenate(rows), np.concatenate(kinds), np.concatenate(ends))


def chances(network: Network, x: Floats, classes: int) -> Floats:
    """(n, 1 + classes), the first: nothing."""
    hidden = np.maximum(x @ network.first + network.first_bias, 0)
    logits = (hidden @ network.second + network.second_bias)[:, : 1 + classes]
    return np.asarray(softmax(logits), np.float32)


def fit(data: Example, classes: int, seed: int = 0, epochs: int = EPOCHS, told: Told = lambda line: None) -> Network:
    """Adam (Kingma and Ba, 2015) on cross-entropy and, where there is a box, on how far its sides are off."""
    rng = np.random.default_rng(seed)
    sample = data.x[rng.choice(len(data.x), min(len(data.x), 20_000), replace=False)].astype(np.float32)
    mean, spread = sample.mean(axis=0), sample.std(axis=0) + 1e-3
    outputs = 1 + classes + 4
    weights = [
        rng.normal(0, np.sqrt(2 / COUNT), (COUNT, HIDDEN)).astype(np.float32), np.zeros(HIDDEN, np.float32),
        rng.normal(0, np.sqrt(1 / HIDDEN), (HIDDEN, outputs)).astype(np.float32), np.zeros(outputs, np.float32),
    ]  # fmt: skip
    weights[3][1 + classes :] = 1.0
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    step, total = 0, epochs * -(-len(data.x) // BATCH)
    for epoch in range(epochs):
        order, loss = rng.permutation(len(data.x)), 0.0
        for start in range(0, len(order), BATCH):
            own = order[start : start + BATCH]
            x = (data.x[own].astype(np.float32) - mean) / spread
            slopes, cost = _slopes(weights, x, data.kind[own], data.sides[own], classes, rng)
            loss += cost * len(own)
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / total))
            for w, g, m, v in zip(weights, slopes, first, second, strict=True):
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                w -= rate * (m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8) + DECAY * w)
        told(f"epoch {epoch + 1} of {epochs}: {loss / len(order):.4f}")
    scaled = weights[0] / spread[:, None]
    return Network(
        scaled.astype(np.float32), (weights[1] - mean @ scaled).astype(np.float32), weights[2], weights[3]
    )


def _slopes(
    weights: list[Floats], x: Floats, kind: Ints, sides: Floats, classes: int, rng: np.random.Generator
) -> tuple[list[Floats], float]:
    hidden = np.maximum(x @ weights[0] + weights[1], 0)
    kept = (rng.random(hidden.shape, np.float32) < 0.8).astype(np.float32) / 0.8
    dropped = hidden * kept
    out = dropped @ weights[2] + weights[3]
    logits = out[:, : 1 + classes]
    p = softmax(logits)
    rows = np.arange(len(x))
    cost = -float(np.log(np.maximum(p[rows, kind], 1e-9)).mean())
    back = np.zeros_like(out)
    back[:, : 1 + classes] = p
    back[rows, kind] -= 1
    apart = np.where((kind > 0)[:, None], out[:, 1 + classes :] - sides, 0)
    back[:, 1 + classes :] = np.clip(apart / 0.1, -1, 1)
    cost += float(np.abs(apart).sum(axis=1).mean())
    back /= len(x)
    down = (back @ weights[2].T) * kept * (hidden > 0)
    return [x.T @ down, down.sum(axis=0), dropped.T @ back, back.sum(axis=0)], cost


def finished(height: int, width: int, network: Network, classes: int) -> bytes:
    """The model: `boxes` (places, 4: left, top, right, bottom in pixels of the input), `scores` (places, classes)."""
    graph = describe(height, width)
    count = (height // CELL) * (width // CELL)
    hidden = graph.add("Relu", graph.add("Conv", "places", network.first.T[:, :, None, None], network.first_bias))
    out = graph.add("Conv", hidden, network.second.T[:, :, None, None], network.second_bias)
    flat = graph.add("Transpose", graph.add("Reshape", out, np.array([1 + classes + 4, count], np.int64)), perm=[1, 0])
    chance = graph.add("Softmax", graph.add("Slice", flat, *_ints([0], [1 + classes], [1])), axis=1)
    graph.add("Slice", chance, *_ints([1], [1 + classes], [1]), output="scores")
    sides = graph.add("Mul", graph.add("Slice", flat, *_ints([1 + classes], [1 + classes + 4], [1])), UNIT)
    y, x = np.meshgrid(
        (np.arange(height // CELL) + 0.5) * CELL, (np.arange(width // CELL) + 0.5) * CELL, indexing="ij"
    )
    centre = np.stack([x.ravel(), y.ravel()] * 2, axis=1).astype(np.float32)
    sign = np.array([[-1, -1, 1, 1]], np.float32)
    graph.add("Add", graph.add("Mul", sides, sign), centre, output="boxes")
    return onnxfile.write(graph, {"boxes": (count, 4), "scores": (count, classes)}, backbone.content())


def _ints(*values: list[int]) -> list[NDArray[np.int64]]:
    return [np.array(v, np.int64) for v in values]


def mean_precision(
    found: Sequence[Sequence[Found]], truth: Sequence[Sequence[Box]], classes: Sequence[str], match: float
) -> dict[str, float]:
    """Average precision (area under the interpolated curve) of each class, over all pictures. match: IoU, 0..1."""
    result = {}
    for name in classes:
        total = sum(b.label == name for boxes in truth for b in boxes)
        if not total:
            continue
        hits: list[tuple[float, bool]] = []
        for boxes, real in zip(found, truth, strict=True):
            left = [b for b in real if b.label == name]
            for box in sorted((b for b in boxes if b[0] == name), key=lambda b: -b[1]):
                best = max(left, key=lambda b: overlap(box, b), default=None)
                good = best is not None and overlap(box, best) >= match
                if good and best is not None:
                    left.remove(best)
                hits.append((box[1], good))
        hits.sort(key=lambda hit: -hit[0])
        right = np.cumsum([good for _, good in hits]) if hits else np.zeros(0)
        precision = right / np.arange(1, len(hits) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        recall = np.concatenate([[0.0], right / total])
        result[name] = float(((recall[1:] - recall[:-1]) * envelope).sum())
    return result


def overlap(box: Found, other: Box) -> float:
    """Intersection over union, 0..1."""
    left, top, right, bottom = box[2:6]
    across = min(right, other.x + other.width) - max(left, other.x)
    down = min(bottom, other.y + other.height) - max(top, other.y)
    if across <= 0 or down <= 0:
        return 0.0
    common = across * down
    return float(common / ((right - left) * (bottom - top) + other.width * other.height - common))
