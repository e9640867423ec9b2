"""`train images` where the labels are boxes: a detector, its figures on pictures that it had not seen, its package."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop.clock import now, rfc3339
from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.graph import versions
from edgeloop.models.head import Head
from edgeloop.models.manifest import Calibration, Card, Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack
from edgeloop.models.pictures import measure, usual
from edgeloop.teach.backbone import SHA256, Pixels
from edgeloop.teach.network import CELL, Run
from edgeloop.teach.shown import resized, working_size
from edgeloop_tools.label.dataset import Box, DataSet, Item
from edgeloop_tools.train.images import detection, learn
from edgeloop_tools.train.images.detection import Found, Told
from edgeloop_tools.train.images.groups import groups_of, print_of
from edgeloop_tools.train.images.run import GOOD, LEARNED, LEAST, HeldOut, Trained, digest_of
from edgeloop_tools.train.images.source import pictures

OVERLAP: Final = 0.4
"""Of two boxes of a class: the weaker one goes."""
MOST: Final = 100
MATCH: Final = (0.33, 0.5)
"""Overlaps from which a box is the one that was meant: DeepPCB's rule, and the usual one."""
GOLDEN_PICTURES: Final = 3


def boxed(data: DataSet) -> bool:
    """Whether a data set's labels are boxes: some are, and no picture is called anything but good without."""
    marked = any(i.boxes for i in data.items)
    return marked and all(i.boxes or i.label in ("", GOOD) for i in data.items)


def train(
    data: DataSet, out: Path, name: str, version: str = "1.0.0", *, seed: int = 0, size: tuple[int, int] | None = None,
    threads: int = 1, key: str | None = None, parent: str | None = None, note: str = "",
    epochs: int = detection.EPOCHS, told: Told = lambda line: None,
) -> Trained:  # fmt: skip
    """Measured on the data set's test split, else on a fifth that is learned from afterwards. Raises EdgeloopError."""
    began = time.monotonic()
    lines = list(data.lines)
    known = [i for i in data.items if i.boxes or i.label == GOOD]
    classes = sorted({b.label for i in known for b in i.boxes})
    counts = {c: sum(b.label == c for i in known for b in i.boxes) for c in classes}
    if few := {c: n for c, n in counts.items() if n < LEAST}:
        why = ", ".join(f"{n} of {c!r}" for c, n in few.items())
        raise EdgeloopError("too few boxes", why=f"{why}; {LEAST} of each class are needed", mend="mark more of them")
    known, sizes, prints, measures = _looked(data, known, lines)
    if not known:
        raise EdgeloopError("no labelled picture can be read", where=str(data.root), why=lines[0] if lines else "none")
    width, height = size or working_size(*max(set(sizes), key=lambda s: (sizes.count(s), s)))
    groups = groups_of(known, np.stack(prints))
    apart = set(data.splits.get("test", ()))
    kinds = np.array([classes.index(i.boxes[0].label) + 1 if i.boxes else 0 for i in known])
    tested = np.array([i.source in apart for i in known])
    if not tested.any():
        tested = learn.folds(kinds, groups, seed) == 0
    own = [i for i, test in zip(known, tested, strict=True) if not test]
    rest = [i for i, test in zip(known, tested, strict=True) if test]
    if not own or not rest:
        why = f"{len(own)} to learn from and {len(rest)} to measure on"
        raise EdgeloopError("too few pictures with boxes", why=why, mend="mark more of them")
    run = Run(detection.describer(height, width), threads)

    def learned(items: Sequence[Item]) -> detection.Network:
        rng = np.random.default_rng(seed)
        first = detection.gathered(run, _shown(data, items, width, height, flip=True), classes, rng)
        told(f"{len(first.x)} places of {len(items)} pictures")
        seen = detection.fit(first, len(classes), seed, max(2, epochs // 3), told)
        hard = detection.gathered(run, _shown(data, items, width, height, flip=True), classes, rng, seen)
        return detection.fit(hard, len(classes), seed, epochs, told)

    network = learned(own)
    onnx = detection.finished(height, width, network, len(classes))
    found, truth = measured(onnx, _shown(data, rest, width, height), classes, threads)
    limit = best_limit(found, truth)
    metrics = figures(found, truth, classes, limit)
    if not apart:
        network = learned(known)
        onnx = detection.finished(height, width, network, len(classes))
    metrics |= {"pictures": float(len(own)), "test_pictures": float(len(rest))}
    cases = _cases(onnx, [p for p, _ in _shown(data, known[:GOLDEN_PICTURES], width, height)], threads)
    metrics |= {"seconds": time.monotonic() - began}
    from_all = own if apart else known
    learned_from = json.dumps(sorted(digest_of(data.path(i)) for i in from_all))
    files: dict[str, bytes | Path] = {
        "model.onnx": onnx, "golden.npz": golden.encode(cases), LEARNED: learned_from.encode(),
    }  # fmt: skip
    places = (height // CELL) * (width // CELL)
    digest = hashlib.sha256(learned_from.encode()).hexdigest()
    manifest = Manifest(
        schema=2, name=name, version=version, task="detection", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=(1, height, width, 3)),),
        outputs=(
            Tensor(name="boxes", dtype="float32", shape=(places, 4)),
            Tensor(name="scores", dtype="float32", shape=(places, len(classes))),
        ),
        golden=Golden(absolute=0.1, relative=1e-2),
        preprocessing=(Image(input="image", width=width, height=height, colour="rgb", layout="nhwc"),),
        labels=tuple(classes), thresholds={"fail": round(limit, 4)}, calibration=Calibration(),
        head=Head(decoder="boxes", roles={"boxes": "boxes", "scores": "scores"}, overlap=OVERLAP, most=MOST),
        pictures=usual(measures), metrics={key: round(value, 6) for key, value in metrics.items()},
        provenance=Provenance(
            trained_at=rfc3339(now()), seed=seed, tools=versions(), parent=parent,
            code=f"edgeloop train images, backbone {SHA256[:12]}",
            data=f"sha256:{digest}, {len(from_all)} pictures with boxes{f'; {note}' if note else ''}",
        ),
        card=Card(
            description=f"Where {', '.join(classes)} are, from {sum(counts.values())} boxes.",
            use="Pictures of the camera that the boxes are of.",
            limits="It knows these classes alone, and things of some 10 to 100 pixels of its input.",
            licence="the labels are yours; the backbone in it is EfficientNet-Lite0, Apache-2.0, Google LLC",
        ),
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(out, manifest, files, key)
    from edgeloop_tools.train.package import prove

    prove(out)
    held = HeldOut(rest, groups[tested], *_verdicts(found, limit))
    return Trained(out, packed, dict(manifest.metrics), lines, held)


def measured(
    model: bytes, shown: Iterator[tuple[Pixels, list[Box]]], classes: Sequence[str], threads: int = 1
) -> tuple[list[list[Found]], list[list[Box]]]:
    """What the model finds, as CameraInference's decoder reads it, and what is there."""
    from edgeloop.models.decoders.boxes import decode
    from edgeloop.models.decoders.seen import Context

    head = Head(decoder="boxes", roles={}, overlap=OVERLAP, most=MOST, least=0.02)
    run = Run(model, threads)
    found, truth = [], []
    for pixels, boxes in shown:
        corners, scores = run(pixels)
        context = Context(pixels.shape[1], pixels.shape[0], tuple(classes), {})
        seen = decode(head, {"boxes": corners, "scores": scores}, context)
        found.append([
            (classes[k], float(s), *(float(v) for v in box))
            for box, s, k in zip(seen.boxes, seen.scores, seen.classes, strict=True)
        ])  # fmt: skip
        truth.append(boxes)
    return found, truth


def best_limit(found: Sequence[Sequence[Found]], truth: Sequence[Sequence[Box]]) -> float:
    """Score from which a box counts, so that what is found and what is there agree best (the largest F1)."""
    total = sum(map(len, truth))
    hits: list[tuple[float, bool]] = []
    for boxes, real in zip(found, truth, strict=True):
        left = list(real)
        for box in sorted(boxes, key=lambda b: -b[1]):
            hit = next((b for b in left if b.label == box[0] and detection.overlap(box, b) >= MATCH[0]), None)
            if hit is not None:
                left.remove(hit)
            hits.append((box[1], hit is not None))
    hits.sort(reverse=True)
    right = np.cumsum([good for _, good in hits]) if hits else np.zeros(1)
    f1 = 2 * right / (np.arange(1, len(right) + 1) + max(1, total))
    return float(np.clip(hits[int(f1.argmax())][0] if hits else 0.5, 0.05, 0.95))


def figures(
    found: Sequence[Sequence[Found]], truth: Sequence[Sequence[Box]], classes: Sequence[str], limit: float
) -> dict[str, float]:
    said: dict[str, float] = {}
    for match in MATCH:
        each = detection.mean_precision(found, truth, classes, match)
        said[f"map_{round(100 * match)}"] = float(np.mean(list(each.values()))) if each else 0.0
        if match == MATCH[0]:
            said |= {f"precision_{name}": value for name, value in each.items()}
    bad = np.array([bool(b) for b in truth])
    fails = np.array([any(box[1] >= limit for box in boxes) for boxes in found])
    said["accuracy"] = float((fails == bad).mean())
    return said


# -- inside ------------------------------------------------------------------------------------------------------------


def _looked(data: DataSet, items: list[Item], lines: list[str]) -> tuple[list[Item], list[Any], list[Any], list[Any]]:
    kept, sizes, prints, measures = [], [], [], []
    for item, pixels in pictures(data, items, lines):
        kept.append(item)
        sizes.append((pixels.shape[1], pixels.shape[0]))
        prints.append(print_of(pixels))
        measures.append(measure(resized(pixels, *working_size(*sizes[-1]))))
    return kept, sizes, prints, measures


def _shown(
    data: DataSet, items: Sequence[Item], width: int, height: int, flip: bool = False
) -> Iterator[tuple[Pixels, list[Box]]]:
    """As the model is given them; flip: mirrored as well."""
    for item, pixels in pictures(data, list(items), []):
        x, y = width / pixels.shape[1], height / pixels.shape[0]
        boxes = [Box(b.label, b.x * x, b.y * y, b.width * x, b.height * y) for b in item.boxes]
        given = resized(pixels, width, height)
        yield given, boxes
        if flip:
            mirrored = [Box(b.label, width - b.x - b.width, b.y, b.width, b.height) for b in boxes]
            yield np.ascontiguousarray(given[:, ::-1]), mirrored


def _cases(model: bytes, shown: Sequence[Pixels], threads: int) -> list[golden.Case]:
    run = Run(model, threads)
    return [golden.Case({"image": pixels[None]}, run(pixels)) for pixels in shown]


def _verdicts(found: Sequence[Sequence[Found]], limit: float) -> tuple[Any, list[str]]:
    best = [max(boxes, key=lambda b: b[1], default=None) for boxes in found]
    fails = np.array([box is not None and box[1] >= limit for box in best])
    labels = [box[0] if box is not None and fail else GOOD for box, fail in zip(best, fails, strict=True)]
    return fails, labels
