"""Golden-template mode: flat things that always lie the same, such as printed boards, compared place by place.

picture → grey, its light as the template's → the best of 25 shifts → difference in units of what good ones differ
by → what is larger than 3 × 3 (opening) → its largest value
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import golden, onnxfile
from edgeloop.models.graph import Graph
from edgeloop.models.pictures import usual
from edgeloop.teach.backbone import Floats, Pixels
from edgeloop.teach.lesson import DEFAULT, Options, Taught, Told, usable
from edgeloop.teach.limits import Scores, limits_of
from edgeloop.teach.network import USUAL, Limits, Run
from edgeloop.teach.shown import Judged, Shown, sifted

SHIFT: Final = 3
"""Pixels that a picture may be moved by."""
FLOOR: Final = 10.0
"""Grey levels, of 255, that every place may differ by."""
SLOPE: Final = 0.35
"""Of the difference of neighbours: what half a pixel makes."""
SPREADS: Final = 3.0
CELL: Final = 4
"""Pixels of one field of the heat map."""
BORDER: Final = SHIFT + 2
ASTRAY: Final = 4.0
"""Times what good pictures differ by on the whole: another thing, or moved further."""
WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)


def teach(
    good: Sequence[Shown], bad: Sequence[Shown] = (), options: Options = DEFAULT, told: Told = lambda line: None
) -> Taught:
    """As `edgeloop.teach.lesson.teach`. Bad pictures are measured by it, not learned from."""
    began = time.monotonic()
    width, height, judged, kept, measures = usable(good, options, told, "compared")
    greys = [_grey(pixels) for _, pixels in kept]
    first = greys[len(greys) // 2]
    aligned = [_aligned(grey, first) for grey in greys]
    folds = min(5, len(kept))
    held = np.zeros(len(kept))
    whole = np.zeros(len(kept))
    for fold in range(folds):
        own = range(fold, len(kept), folds)
        template, room = _template([a for k, a in enumerate(aligned) if k not in own])
        reader = Run(_network(template, room, None), options.threads)
        for k in own:
            held[k], whole[k] = (float(v[0]) for v in reader(kept[k][1])[:2])
    template, room = _template(aligned)
    plain = Run(_network(template, room, None), options.threads)
    bad_judged, bad_kept, _ = sifted(bad, width, height, bad=True)
    seen = np.array([float(plain(pixels)[0][0]) for _, pixels in bad_kept])
    scores = Scores(fail=held, middle=whole, most=whole, places=[], bad=seen)
    limits = limits_of(scores, options.reject)
    edge = max(ASTRAY * float(whole.mean()), limits.middle)
    limits = Limits(fail=max(limits.fail, 1.0), usual=limits.usual, middle=edge, most=edge)
    model = _network(template, room, limits)
    for (name, _), score in zip([*kept, *bad_kept], [*held, *seen], strict=True):
        each = next(j for j in (*judged, *bad_judged) if j.name == name and not j.refused)
        _say(each, float(score), limits)
    run = Run(model, options.threads)
    chosen = [kept[0][1], kept[-1][1], *[p for _, p in bad_kept[:1]], np.ascontiguousarray(kept[0][1][::-1])]
    cases = [golden.Case({"image": pixels[None]}, run(pixels)) for pixels in chosen]
    digest = hashlib.sha256(b"".join(hashlib.sha256(p.tobytes()).digest() for _, p in [*kept, *bad_kept])).hexdigest()
    metrics = {
        "pictures": float(len(kept)), "false_rejects_held_out": round(float((held >= limits.fail).mean()), 4),
        "seconds": round(time.monotonic() - began, 2),
    }  # fmt: skip
    if len(seen):
        metrics |= {"bad": float(len(seen)), "found_held_out": round(float((seen >= limits.fail).mean()), 4)}
    data = f"sha256:{digest}, {len(kept)} good and {len(bad_kept)} bad pictures, as a template"
    return Taught(
        model, width, height, limits, 0, [*judged, *bad_judged], usual(measures), cases, metrics, data, [], CELL
    )


def _say(each: Judged, score: float, limits: Limits) -> None:
    each.score = round(score / limits.fail, 4)
    if not each.bad and score >= limits.fail:
        each.hint = "looks bad beside the others: is it good?"
    if each.bad and score < limits.fail:
        each.hint = "would pass: what is bad is hardly seen"


def _grey(pixels: Pixels) -> Floats:
    return np.asarray(pixels.astype(np.float32) @ WEIGHTS, np.float32)


def _aligned(grey: Floats, first: Floats) -> Floats:
    """With the first's light, moved onto it by whole pixels; edges repeat."""
    grey = grey * (float(first.mean()) / max(1.0, float(grey.mean())))
    best, found = np.inf, grey
    padded = np.pad(grey, SHIFT, mode="edge")
    height, width = grey.shape
    for down in range(2 * SHIFT + 1):
        for across in range(2 * SHIFT + 1):
            moved = padded[down : down + height, across : across + width]
            away = float(np.abs(moved[::4, ::4] - first[::4, ::4]).mean())
            if away < best:
                best, found = away, moved
    return np.ascontiguousarray(found)


def _template(aligned: list[Floats]) -> tuple[Floats, Floats]:
    """What good ones are like, and how much each place may differ from it."""
    stack = np.stack(aligned)
    template = np.median(stack, axis=0)
    spread = np.abs(stack - template).mean(axis=0) * 1.2533
    slope = np.zeros_like(template)
    for axis in (0, 1):
        step = np.abs(np.diff(template, axis=axis))
        pad = [(0, 1), (0, 0)] if axis == 0 else [(0, 0), (0, 1)]
        before = [(1, 0), (0, 0)] if axis == 0 else [(0, 0), (1, 0)]
        slope = np.maximum(slope, np.maximum(np.pad(step, pad), np.pad(step, before)))
    room = FLOOR + SLOPE * _widest(slope) + SPREADS * _widest(spread)
    return template.astype(np.float32), room.astype(np.float32)


def _widest(values: NDArray[Any]) -> NDArray[Any]:
    """The largest of each 3 × 3."""
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    return np.asarray(np.max([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0))


def _network(template: Floats, room: Floats, limits: Limits | None) -> bytes:
    """limits: None gives plain numbers: the largest residual, the mean difference."""
    height, width = template.shape
    graph = Graph("template", {"image": ("uint8", (1, height, width, 3))})
    planes = graph.add("Transpose", graph.add("Cast", "image", to=1), perm=[0, 3, 1, 2])
    grey = graph.add("Conv", planes, WEIGHTS[None, :, None, None])
    light = graph.add("Max", graph.add("ReduceMean", grey, axes=[2, 3], keepdims=1), 1.0)
    even = graph.add("Mul", grey, graph.add("Div", float(template.mean()), light))
    side = 2 * SHIFT + 1
    moves = np.eye(side * side, dtype=np.float32).reshape(side * side, 1, side, side)
    pads = np.array([0, 0, SHIFT, SHIFT, 0, 0, SHIFT, SHIFT], np.int64)
    padded = graph.add("Pad", even, pads, mode="edge")
    coarse = graph.add("Conv", padded, moves, strides=[4, 4])
    down, across = -(-height // 4), -(-width // 4)
    sparse = np.ascontiguousarray(template[::4, ::4])[None, None]
    assert sparse.shape[2:] == (down, across)
    away = graph.add("ReduceMean", graph.add("Abs", graph.add("Sub", coarse, sparse)), axes=[0, 2, 3], keepdims=0)
    best = graph.add("ArgMin", away, axis=0, keepdims=1)
    kernel = graph.add("Gather", moves, best, axis=0)
    moved = graph.add("Conv", padded, kernel)
    apart = graph.add("Abs", graph.add("Sub", moved, template[None, None]))
    relative = graph.add("Mul", apart, _inside((1 / room).astype(np.float32))[None, None])
    three: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]}
    eroded = graph.add("Neg", graph.add("MaxPool", graph.add("Neg", relative), **three))
    heat = graph.add("MaxPool", eroded, kernel_shape=[CELL, CELL], strides=[CELL, CELL])
    largest = graph.add("Reshape", graph.add("ReduceMax", heat, axes=[0, 1, 2, 3], keepdims=1), np.array([1], np.int64))
    mean = graph.add(
        "Reshape", graph.add("ReduceMean", relative, axes=[0, 1, 2, 3], keepdims=1), np.array([1], np.int64)
    )
    grid = graph.add("Reshape", heat, np.array([height // CELL, width // CELL], np.int64))
    if limits is None:
        graph.add("Identity", largest, output="score")
        graph.add("Identity", mean, output="unlike")
        graph.add("Identity", grid, output="heat")
        return onnxfile.write(graph, {"score": (1,), "unlike": (1,), "heat": (height // CELL, width // CELL)})
    steep = float(np.log(1 / USUAL - 1)) / max(limits.fail - limits.usual, 1e-6)
    for value, name in ((largest, "score"), (grid, "heat")):
        graph.add("Sigmoid", graph.add("Mul", graph.add("Sub", value, limits.fail), steep), output=name)
    graph.add("Div", mean, limits.middle, output="unlike")
    shapes = {"score": (1,), "heat": (height // CELL, width // CELL), "unlike": (1,)}
    return onnxfile.write(graph, shapes)


def _inside(weights: Floats) -> Floats:
    """Nothing is known of what came in at the border."""
    weights = weights.copy()
    weights[:BORDER] = weights[-BORDER:] = 0
    weights[:, :BORDER] = weights[:, -BORDER:] = 0
    return weights
