"""Labelled pictures to a package: described, split, learned, calibrated, measured, proven."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import now, rfc3339
from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.graph import area, versions
from edgeloop.models.head import Confidence, Pictures
from edgeloop.models.manifest import Calibration, Card, Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack
from edgeloop.models.pictures import measure, usual
from edgeloop.teach.backbone import SHA256, STRIDE, Pixels
from edgeloop.teach.network import Run
from edgeloop.teach.shown import resized
from edgeloop_tools.label.dataset import DataSet, Item
from edgeloop_tools.train.images import features, learn
from edgeloop_tools.train.images.groups import groups_of, print_of
from edgeloop_tools.train.images.mix import both_of, weights
from edgeloop_tools.train.images.source import pictures

LEAST: Final = 4
"""Labelled pictures of each class."""
LEARNED: Final = "learned.json"
"""In the package: digests of the pictures that it learned from, so that no gate asks it about those."""
AT_SITE: Final = "accuracy_at_"
"""Begin of a metric's name, before the site's."""
GOLDEN: Final = 4
GRAIN: Final = (1.0, 6.0)
"""Of 255: standard deviation of what is added to a picture for its second look. What went up is JPEG, what is judged on
the line is as the camera gave it: a model that never saw grain can take all of it for bad."""
GOOD: Final = "good"
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a bad part that passes, of a good one that is rejected."""

    escape: float = 1.0
    reject: float = 1.0


@dataclass
class Described:
    """Every labelled picture as numbers. small: a few pictures as the model is given them, for the golden set. grained:
    x of the same pictures with grain, where it was asked for."""

    items: list[Item]
    x: NDArray[np.float32]
    y: NDArray[np.intp]
    groups: NDArray[np.intp]
    classes: list[str]
    width: int
    height: int
    usual: Pictures
    small: list[Pixels]
    lines: list[str] = field(default_factory=list)
    grained: NDArray[np.float32] | None = None


@dataclass
class HeldOut:
    """What models that had not seen it, nor its like, say of each labelled picture. fails: by a limit of the others."""

    items: list[Item]
    groups: NDArray[np.intp]
    fails: NDArray[np.bool_]
    labels: list[str]


@dataclass
class Trained:
    path: Path
    digest: str
    metrics: dict[str, float]
    lines: list[str]
    held_out: HeldOut


def size_of(width: int, height: int) -> tuple[int, int]:
    """
    >>> size_of(320, 240), size_of(200, 200), size_of(2000, 1000)
    ((448, 336), (400, 400), (448, 224))
    """
    scale = min(2.0, features.LONGEST / max(width, height))
    across, down = (max(4 * STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
    return across, down


def describe(
    data: DataSet, items: Sequence[Item], size: tuple[int, int] | None = None, threads: int = 1,
    grain: int | None = None,
) -> Described:  # fmt: skip
    """grain: seed of that of a second look at each picture. Raises EdgeloopError where there is not enough to learn
    from."""
    lines = list(data.lines)
    kept, rows, grained, prints, measures = [], [], [], [], []
    small: list[Pixels] = []
    run: Run | None = None
    first: set[str] = set()
    for item, pixels in pictures(data, list(items), lines):
        if run is None:
            size = size or size_of(pixels.shape[1], pixels.shape[0])
            run = Run(features.describer(size[1], size[0]), threads)
        assert size is not None
        given = resized(pixels, *size)
        kept.append(item)
        rows.append(np.asarray(run(given)[0][0], np.float32))
        if grain is not None:
            rough = resized(with_grain(pixels, np.random.default_rng([grain, len(kept)])), *size)
            grained.append(np.asarray(run(rough)[0][0], np.float32))
        prints.append(print_of(pixels))
        measures.append(measure(given))
        if item.kind not in first and len(small) < GOLDEN:
            first.add(item.kind)
            small.append(given)
    if not kept or size is None:
        raise EdgeloopError("no labelled picture can be read", where=str(data.root), why=lines[0] if lines else "none")
    classes = [name for name in data.classes if any(i.kind == name for i in kept)]
    classes = ([GOOD] if GOOD in classes else []) + [name for name in classes if name != GOOD]
    y = np.array([classes.index(i.kind) if i.kind else -1 for i in kept], np.intp)
    groups = groups_of(kept, np.stack(prints))
    again = np.stack(grained) if grained else None
    return Described(kept, np.stack(rows), y, groups, classes, *size, usual(measures), small, lines, again)


def with_grain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    rough = pixels + rng.normal(0, rng.uniform(*GRAIN), pixels.shape)
    return np.asarray(np.clip(rough, 0, 255), np.uint8)


def check(found: Described) -> None:
    """Raises EdgeloopError where it is too little."""
    counts = {name: int((found.y == k).sum()) for k, name in enumerate(found.classes)}
    if len(counts) < 2:
        only = next(iter(counts), "none")
        mend = "label others, or use `edgeloop teach`"
        raise EdgeloopError("one class only", why=f"every picture is {only!r}", mend=mend)
    few = {name: count for name, count in counts.items() if count < LEAST}
    if few:
        why = ", ".join(f"{count} of {name!r}" for name, count in few.items())
        raise EdgeloopError("too few labels", why=f"{why}; {LEAST} of each class are needed", mend="label more of them")
    for k, name in enumerate(found.classes):
        if len(np.unique(found.groups[found.y == k])) < 2:
            why = f"all pictures of {name!r} are copies of one"
            raise EdgeloopError("too few labels", why=why, mend="label others")


def train(
    data: DataSet, out: Path, name: str, version: str = "1.0.0", *, costs: Costs = Costs(), seed: int = 0,
    size: tuple[int, int] | None = None, threads: int = 1, key: str | None = None, parent: str | None = None,
    note: str = "",
) -> Trained:  # fmt: skip
    """Splits of the data set are kept: what is in `test` is measured on and not learned from. Raises EdgeloopError."""
    began = time.monotonic()
    apart = set(data.splits.get("test", ()))
    labelled = [i for i in data.items if i.kind and i.source not in apart]
    found = describe(data, labelled, size, threads, grain=seed)
    check(found)
    assert found.grained is not None
    fold = learn.folds(found.y, found.groups, seed)
    x, y = np.concatenate([found.x, found.grained]), np.tile(found.y, 2)
    looks = learn.out_of_fold(x, y, len(found.classes), np.tile(fold, 2))
    heat = learn.temperature(looks, y)
    logits = looks[: len(found.y)]
    plain = learn.fit(x, y, len(found.classes))
    model = learn.Learned(plain.weights, plain.bias, heat)
    good = found.classes.index(GOOD) if GOOD in found.classes else -1
    held = learn.softmax(logits / heat)
    limit, confidence = 0.5, None
    weight, mixed = weighing(found, good)
    if good >= 0:
        bad = found.y != good
        score = 1 - held[:, good]
        both = 1 - learn.softmax(looks / heat)[:, good]
        limit = threshold(both, np.tile(bad, 2), costs, np.tile(weight, 2))
        confidence = _platt(score[weight > 0], bad[weight > 0])
    metrics = figures(held, found, good, limit, weight)
    apiece = crossed(held, found, good, fold, costs, weight)
    tests = [i for i in data.items if i.kind and i.source in apart]
    if tests:
        seen = describe(data, tests, (found.width, found.height), threads)
        places = np.array([found.classes.index(i.kind) if i.kind in found.classes else -1 for i in seen.items])
        metrics["test_pictures"] = float(len(places))
        metrics["test_accuracy"] = float((model.chances(seen.x).argmax(axis=1) == places).mean())
    onnx = features.classifier(found.height, found.width, plain.weights, plain.bias, heat)
    run = Run(onnx, threads)
    cases = [golden.Case({"image": pixels[None]}, run(pixels)) for pixels in found.small]
    describer = Run(features.describer(found.height, found.width), threads)
    parity = max(
        float(np.abs(case.outputs[0][0] - model.chances(describer(pixels)[0].astype(np.float64))[0]).max())
        for case, pixels in zip(cases, found.small, strict=True)
    )
    if parity > 1e-3:
        raise EdgeloopError("the graph does not give what was learned", why=f"they differ by {parity:.2g}")
    metrics |= {"parity": parity, "seconds": time.monotonic() - began}
    learned = json.dumps(sorted(digest_of(data.path(i)) for i in found.items))
    files: dict[str, bytes | Path] = {
        "model.onnx": onnx, "golden.npz": golden.encode(cases), LEARNED: learned.encode(),
    }  # fmt: skip
    digest = _digest(data, found.items)
    manifest = Manifest(
        schema=2, name=name, version=version, task="classification", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=(1, found.height, found.width, 3)),),
        outputs=(Tensor(name="probabilities", dtype="float32", shape=(1, len(found.classes))),),
        golden=Golden(absolute=2e-3, relative=1e-2),
        preprocessing=(Image(input="image", width=found.width, height=found.height, colour="rgb", layout="nhwc"),),
        labels=tuple(found.classes), thresholds={"fail": round(limit, 4)}, calibration=Calibration(),
        confidence=confidence, pictures=found.usual,
        metrics={key: round(value, 6) for key, value in metrics.items()},
        provenance=Provenance(
            trained_at=rfc3339(now()), seed=seed, tools=versions(), parent=parent,
            code=f"edgeloop train images, backbone {SHA256[:12]}",
            data=f"sha256:{digest}, {len(found.items)} labelled pictures{f'; {note}' if note else ''}",
        ),
        card=Card(
            description=f"Which of {', '.join(found.classes)} a picture shows, from {len(found.items)} labels.",
            use="Pictures of the camera that the labels are of.", limits=f"{_limits(found, costs)} {mixed}".rstrip(),
            licence="the labels are yours; the backbone in it is EfficientNet-Lite0, Apache-2.0, Google LLC",
        ),
    )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(out, manifest, files, key)
    from edgeloop_tools.train.package import prove

    prove(out)
    return Trained(out, packed, dict(manifest.metrics), found.lines, apiece)


def weighing(found: Described, good: int) -> tuple[NDArray[np.float64], str]:
    """What each picture weighs where the line's mix matters, and that in words. What was picked for doubt weighs where
    there is too little else alone."""
    weight = weights(found.items)
    picked = int((weight == 0).sum())
    if not picked:
        return weight, ""
    rest = len(weight) - picked
    if both_of(weight, found.y != good, LEAST) if good >= 0 else rest >= 2 * LEAST:
        return weight, f"{picked} that were picked for doubt taught it; limit and figures are of the other {rest}."
    said = (
        f"its limit and figures are of pictures that were picked for doubt ({picked} of {len(weight)}), not of the "
        "line's mix: label more of the random share"
    )
    found.lines.append(said)
    return np.ones(len(weight)), f"{said[0].upper()}{said[1:]}."


def crossed(
    held: Numbers, found: Described, good: int, fold: NDArray[np.intp], costs: Costs, weight: NDArray[np.float64]
) -> HeldOut:
    """held: chances of each picture by models of the other folds."""
    names = found.classes
    if good < 0:
        guess = held.argmax(axis=1)
        return HeldOut(found.items, found.groups, np.ones(len(held), bool), [names[k] for k in guess])
    score, bad = 1 - held[:, good], found.y != good
    fails = np.zeros(len(held), bool)
    for k in np.unique(fold):
        own = fold == k
        fails[own] = score[own] >= threshold(score[~own], bad[~own], costs, weight[~own])
    others = np.delete(np.arange(len(names)), good)
    worst = others[held[:, others].argmax(axis=1)]
    return HeldOut(
        found.items, found.groups, fails, [names[k] if f else names[good] for k, f in zip(worst, fails, strict=True)]
    )


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def threshold(score: Numbers, bad: NDArray[np.bool_], costs: Costs, weight: NDArray[np.float64] | None = None) -> float:
    """Score from which a part fails, so that escapes and rejects cost least on what was held out; midway between
    equals, and within 0.02 to 0.98. weight: of each part, 0: not asked.

    >>> score, bad = np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True])
    >>> threshold(score, bad, Costs()), threshold(score, bad, Costs(), np.array([1.0, 1.0, 0.0, 1.0]))
    (0.4, 0.55)
    """
    weight = np.ones(len(score)) if weight is None or not weight.any() else weight
    asked = weight > 0
    score, bad, weight = score[asked], bad[asked], weight[asked]
    edges = np.unique(score)
    middles = np.concatenate([[edges[0] / 2], (edges[1:] + edges[:-1]) / 2, [(edges[-1] + 1) / 2]])
    cost = [
        costs.escape * weight[bad & (score < m)].sum() + costs.reject * weight[~bad & (score >= m)].sum()
        for m in middles
    ]
    least = np.flatnonzero(np.isclose(cost, min(cost)))
    return float(np.clip(middles[least[len(least) // 2]], 0.02, 0.98))


def figures(
    chances: Numbers, found: Described, good: int, limit: float, weight: NDArray[np.float64]
) -> dict[str, float]:
    """Of pictures that were held out and weigh, by class and site."""
    own = weight > 0
    chances, y = chances[own], found.y[own]
    right = chances.argmax(axis=1) == y
    said = {"pictures": float(len(right)), "accuracy": float(right.mean())}
    for k, name in enumerate(found.classes):
        if (y == k).any():
            said[f"accuracy_{name}"] = float(right[y == k].mean())
    sites = np.array([str(i.about.get("site", "")) for i in found.items])[own]
    if len(set(sites)) > 1:
        said |= {f"{AT_SITE}{site}": float(right[sites == site].mean()) for site in sorted(set(sites))}
    if good >= 0:
        bad, score = y != good, 1 - chances[:, good]
        said |= {
            "auroc": area(score, bad), "found": float((score[bad] >= limit).mean()),
            "false_rejects": float((score[~bad] >= limit).mean()),
        }  # fmt: skip
    return said


def _platt(score: Numbers, bad: NDArray[np.bool_]) -> Confidence:
    from edgeloop_tools.model.make import platt

    return platt(np.asarray(score, np.float64), bad)


def _limits(found: Described, costs: Costs) -> str:
    least = min((int((found.y == k).sum()), name) for k, name in enumerate(found.classes))
    return (
        f"It knows these classes alone; the rarest, {least[1]}, has {least[0]} labels. An escape was taken to cost "
        f"{costs.escape:g}, a false reject {costs.reject:g}. Measured on pictures held out by part, moment, likeness."
    )


def _digest(data: DataSet, items: Sequence[Item]) -> str:
    """Of the pictures' bytes and their labels."""
    rows = sorted(f"{hashlib.sha256(data.path(i).read_bytes()).hexdigest()} {i.kind}" for i in items)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def report(trained: Trained, version: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"package": str(trained.path), "digest": trained.digest, "metrics": trained.metrics}))
        return
    for line in trained.lines[:10]:
        print(line)
    if len(trained.lines) > 10:
        print(f"… and {len(trained.lines) - 10} more lines like these")
    m = trained.metrics
    words = [f"held out: {m['accuracy']:.1%} right of {int(m.get('test_pictures', m['pictures']))}"]
    if "map_33" in m:
        words = [f"of {int(m['test_pictures'])} held out: mAP {m['map_33']:.3f} at IoU 0.33, {m['map_50']:.3f} at 0.5"]
    if "auroc" in m:
        words.append(f"{m['found']:.1%} of the bad found, {m['false_rejects']:.1%} of the good rejected")
    if "test_accuracy" in m:
        words.append(f"test: {m['test_accuracy']:.1%} of {int(m['test_pictures'])}")
    print("; ".join(words))
    print(f"{trained.path}: {version}, {trained.path.stat().st_size:,} B, sha256:{trained.digest}")
