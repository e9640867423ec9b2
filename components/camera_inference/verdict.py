"""What a model's outputs mean: labels, boxes, confidence; and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_inference.prepare import Placement
from camera_inference.spots import components
from edgeloop.models import optional
from edgeloop.models.decoders import Decoder, Seen
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Manifest

Word = Literal["pass", "fail", "unknown"]
Array = NDArray[Any]
LIKELY: Final = 0.5
MOST: Final = 20


class Box(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where something is: shares of the whole image, from the upper left corner. points: x, y and how sure, in turn.
    track: the number of the thing that is followed, 0: none."""

    label: str
    score: float
    x: float
    y: float
    width: float
    height: float
    points: tuple[float, ...] = ()
    track: int = 0


class Finding(msgspec.Struct, frozen=True):
    """What a model says of one image. score: 0..1, higher is worse; confidence: 0..1, of `label`. reason: why it cannot
    be judged: the model was taught nothing like it. margin: between the two likeliest labels; entropy: of all, 1 where
    they are as likely; of models that tell several labels apart."""

    label: str
    score: float
    confidence: float
    boxes: tuple[Box, ...] = ()
    reason: str = ""
    margin: float = 1.0
    entropy: float = 0.0


class Criteria(msgspec.Struct, frozen=True):
    """accept: labels that pass. threshold: score from which it fails; None: the model's own. certain: confidence under
    which the verdict is unknown."""

    accept: frozenset[str]
    threshold: float | None = None
    certain: float = 0.0

    def judge(self, finding: Finding, manifest: Manifest) -> Word:
        if finding.reason or finding.confidence < self.certain:
            return "unknown"
        return "fail" if finding.score >= self.limit(manifest) else "pass"

    def limit(self, manifest: Manifest) -> float:
        return self.threshold if self.threshold is not None else manifest.thresholds.get("fail", LIKELY)


def interpret(
    manifest: Manifest, outputs: Sequence[Array], placement: Placement, criteria: Criteria,
    decoder: Decoder | None = None,
) -> Finding:  # fmt: skip
    """Raises ModelError where the outputs are not what the head says, or, without one, what the task says:

    * classification: the first output has one value for each label: probabilities, or logits;
    * one_class: the first output is one number, higher is worse;
    * detection: outputs `boxes` (n, 4: left, top, right, bottom as pixels of the input), `scores` (n) and, where there
      are several labels, `classes` (n);
    * an output `map` (rows, columns: weights 0..1, all over the input) says where, for the first two.
    """
    if decoder is not None:
        return _worded(manifest, decoder(list(outputs)), placement, criteria)
    named = dict(zip((tensor.name for tensor in manifest.outputs), outputs, strict=True))
    if manifest.task == "detection":
        return _detection(manifest, named, placement, criteria)
    if manifest.task == "classification":
        label, score, confidence = _classification(manifest, _chances(manifest, outputs[0]), criteria)
    elif manifest.task in ("one_class", "anomaly"):
        label, score, confidence = _one_class(manifest, outputs[0], criteria)
    else:
        raise ModelError("images cannot be judged by this model", why=f"its task is {manifest.task}")
    where = named.get("map")
    boxes = _spots(where, label, placement) if where is not None and score >= criteria.limit(manifest) else ()
    doubt = _doubt(_chances(manifest, outputs[0])) if manifest.task == "classification" else (1.0, 0.0)
    return Finding(label, round(score, 4), round(confidence, 4), boxes, "", *doubt)


def _finite(values: Array, what: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise ModelError("the model gave no number", why=f"output {what} has NaN or infinity")
    return numbers


def _chances(manifest: Manifest, output: Array) -> NDArray[np.float64]:
    values = _finite(output, "0").ravel()
    if len(values) != len(manifest.labels):
        raise ModelError("the model does not fit its labels", why=f"{len(values)} values for {len(manifest.labels)}")
    if values.min() < 0 or abs(values.sum() - 1) > 0.01:
        values = np.exp((values - values.max()) / manifest.calibration.temperature)
        values /= values.sum()
    return values


def _classification(
    manifest: Manifest, values: NDArray[np.float64], criteria: Criteria, exclusive: bool = True
) -> tuple[str, float, float]:
    """exclusive: of the labels exactly one is right; else each is for itself."""
    bad = [i for i, name in enumerate(manifest.labels) if name not in criteria.accept]
    score = float(values[bad].sum() if exclusive else values[bad].max(initial=0.0))
    fails = score >= criteria.limit(manifest)
    among = bad if fails and bad else [i for i in range(len(values)) if i not in bad] or bad
    best = max(among, key=lambda i: values[i])
    return manifest.labels[best], score, _sure(manifest, score, criteria)


def _sure(manifest: Manifest, score: float, criteria: Criteria) -> float:
    """How likely the verdict is right, 0.5 to 1: calibrated where the package says how; else the score itself, 0.5 at
    the limit. Of the picture as a whole: what a good one has is never how sure a box is that does not matter."""
    limit, known = criteria.limit(manifest), manifest.confidence
    if known is not None:
        share = min(max(score, 1e-6), 1 - 1e-6)
        chance = float(1 / (1 + np.exp(-np.clip(known.slope * np.log(share / (1 - share)) + known.offset, -50, 50))))
        return chance if score >= limit else 1 - chance
    if score >= limit:
        return min(1.0, 0.5 + 0.5 * (score - limit) / max(1 - limit, 1e-9))
    return min(1.0, 1 - 0.5 * score / max(limit, 1e-9))


def _one_class(manifest: Manifest, output: Array, criteria: Criteria) -> tuple[str, float, float]:
    values = _finite(output, "0").ravel()
    if len(values) != 1:
        raise ModelError("a one-class model gives one number", why=f"{len(values)} values")
    limit = criteria.limit(manifest)
    score = float(values[0])
    chance = float(1 / (1 + np.exp(-np.clip((score - limit) / manifest.calibration.temperature, -50, 50))))
    names = manifest.labels or ("good", "anomaly")
    return names[min(int(score >= limit), len(names) - 1)], score, max(chance, 1 - chance)


def _detection(manifest: Manifest, outputs: Mapping[str, Array], placement: Placement, criteria: Criteria) -> Finding:
    if not {"boxes", "scores"} <= outputs.keys():
        raise ModelError("a detector gives boxes and scores", why=f"its outputs are {', '.join(outputs)}")
    boxes, scores = _finite(outputs["boxes"], "boxes").reshape(-1, 4), _finite(outputs["scores"], "scores").ravel()
    classes = np.asarray(outputs.get("classes", np.zeros(len(scores))), np.int64).ravel()
    names = manifest.labels or ("object",)
    known = not len(classes) or 0 <= classes.min() <= classes.max() < len(names)
    if not len(boxes) == len(scores) == len(classes) or not known:
        raise ModelError("the detector's outputs do not fit", why=f"{len(boxes)} boxes, {len(scores)} scores")
    limit = criteria.limit(manifest)
    order = np.argsort(-scores, kind="stable")
    wrong = [i for i in order if names[classes[i]] not in criteria.accept]
    score = float(scores[wrong[0]]) if wrong else 0.0
    found = tuple(
        placement.box(names[classes[i]], float(scores[i]), *boxes[i]) for i in order[:MOST] if scores[i] >= limit
    )
    label = names[classes[wrong[0]]] if wrong and score >= limit else "good"
    return Finding(label, round(score, 4), round(_sure(manifest, score, criteria), 4), tuple(Box(*b) for b in found))


def _worded(manifest: Manifest, seen: Seen, placement: Placement, criteria: Criteria) -> Finding:
    """What a decoder saw, as a finding."""
    limit = criteria.limit(manifest)
    boxes: tuple[Box, ...] = ()
    doubt = (1.0, 0.0)
    if seen.chances is not None:
        exclusive = manifest.head is None or manifest.head.exclusive
        chances = seen.chances.astype(np.float64)
        doubt = _doubt(chances) if exclusive else doubt
        label, score, sure = _classification(manifest, chances, criteria, exclusive)
    elif seen.score is not None:
        label, score, sure = _one_class(manifest, np.array([seen.score]), criteria)
    elif seen.area is not None:
        label, score, sure, boxes = _areas(manifest, seen, placement, criteria)
    elif seen.vector is not None:
        return _nearest(seen, criteria, limit)
    else:
        label, score, sure, boxes = _boxed(manifest, seen, placement, criteria)
    if seen.heat is not None and score >= limit:
        boxes = _hot(manifest, seen.heat, label, placement, limit)
    edge = manifest.thresholds.get("unlike", float("inf"))
    reason = f"unlike what the model was taught ({seen.unlike:.2f}, {edge:g} is the edge)" if seen.unlike > edge else ""
    return Finding(label, round(score, 4), round(sure, 4), boxes, reason, *doubt)


def _doubt(chances: NDArray[np.float64]) -> tuple[float, float]:
    """Margin and entropy.

    >>> _doubt(np.array([0.5, 0.5])), _doubt(np.array([1.0, 0.0, 0.0]))
    ((0.0, 1.0), (1.0, 0.0))
    """
    if len(chances) < 2:
        return 1.0, 0.0
    p = np.sort(chances)[::-1] / max(float(chances.sum()), 1e-12)
    used = p[p > 1e-12]
    return round(float(p[0] - p[1]), 4), round(float(-(used * np.log(used)).sum() / np.log(len(p))) + 0.0, 4)


def _boxed(
    manifest: Manifest, seen: Seen, placement: Placement, criteria: Criteria
) -> tuple[str, float, float, tuple[Box, ...]]:
    names, limit = manifest.labels or ("object",), criteria.limit(manifest)
    named = [names[k] for k in seen.classes]
    wrong = [k for k, name in enumerate(named) if name not in criteria.accept]
    score = float(seen.scores[wrong[0]]) if wrong else 0.0
    found = []
    for k in np.flatnonzero(seen.scores >= limit)[:MOST]:
        points: tuple[float, ...] = ()
        if seen.points is not None:
            x = placement.left + seen.points[k, :, 0] * placement.across
            y = placement.top + seen.points[k, :, 1] * placement.down
            flat = np.stack([x, y, seen.points[k, :, 2]], axis=1).ravel()
            points = tuple(round(float(v), 4) for v in flat)
        found.append(Box(*placement.box(named[k], float(seen.scores[k]), *seen.boxes[k]), points))
    label = named[wrong[0]] if wrong and score >= limit else "good"
    return label, score, _sure(manifest, score, criteria), tuple(found)


def _areas(
    manifest: Manifest, seen: Seen, placement: Placement, criteria: Criteria
) -> tuple[str, float, float, tuple[Box, ...]]:
    """Of a segmentation: score is the share of the input that shows what is not accepted; the first label is what is
    around things, and always accepted."""
    assert seen.area is not None
    assert seen.certainty is not None
    names, limit = manifest.labels, criteria.limit(manifest)
    counts = np.bincount(seen.area.ravel(), minlength=len(names)) / seen.area.size
    wrong = [k for k in range(1, len(names)) if names[k] not in criteria.accept]
    score = float(counts[wrong].sum())
    most = max(wrong, key=lambda k: counts[k], default=0)
    shown = np.isin(seen.area, wrong)
    sure = float(seen.certainty[shown].mean() if score >= limit and shown.any() else seen.certainty.mean())
    boxes: list[Box] = []
    for k in sorted(wrong, key=lambda k: -counts[k]):
        if counts[k] and score >= limit and len(boxes) < MOST:
            boxes += _regions(seen.area == k, seen.certainty, names[k], placement)
    return names[most] if score >= limit and wrong else "good", score, sure, tuple(boxes[:MOST])


def _nearest(seen: Seen, criteria: Criteria, limit: float) -> Finding:
    """What is nearest in the gallery; too far from everything there is unknown to it."""
    likeness = min(1.0, max(0.0, seen.likeness))
    known = likeness >= limit
    score = 1.0 - likeness if not known or seen.name in criteria.accept else max(limit, likeness)
    return Finding(seen.name if known else "", round(score, 4), round(likeness, 4))


def _hot(manifest: Manifest, heat: Array, label: str, placement: Placement, limit: float) -> tuple[Box, ...]:
    """Where a heat map is above the limit, or above half of its height where the limit is of another quantity."""
    top = float(heat.max())
    floor = limit if manifest.task == "one_class" and top > limit else 0.5 * (top + float(np.median(heat)))
    return tuple(_regions(heat >= floor, heat, label, placement)[:MOST])


def _regions(over: Array, weights: Array, label: str, placement: Placement) -> list[Box]:
    """Boxes around the connected parts, largest first."""
    cv = optional.load("cv2", "finding regions")
    _, _, stats, _ = cv.connectedComponentsWithStats(np.ascontiguousarray(over, np.uint8), connectivity=8)
    height, width = over.shape
    step = placement.width / width, placement.height / height
    least = max(1, over.size // 20_000)
    found = []
    for left, top, across, down, size in sorted(stats[1:].tolist(), key=lambda row: -row[4])[:MOST]:
        if size >= least:
            inside = over[top : top + down, left : left + across]
            weight = float(weights[top : top + down, left : left + across][inside].mean())
            edges = (left * step[0], top * step[1], (left + across) * step[0], (top + down) * step[1])
            found.append(Box(*placement.box(label, min(1.0, max(0.0, weight)), *edges)))
    return found


def _spots(weights: Array, label: str, placement: Placement) -> tuple[Box, ...]:
    """Boxes around the connected cells above half of the largest weight, heaviest first."""
    cells = _finite(weights, "map")
    cells = cells.reshape(cells.shape[-2:])
    over = cells >= max(0.25, 0.5 * float(cells.max()))
    rows, columns = int(np.size(cells, 0)), int(np.size(cells, 1))
    places, spot = components(over)
    order = np.argsort(-cells.ravel()[places], kind="stable")
    heaviest = order[np.sort(np.unique(spot[order], return_index=True)[1])][:MOST]
    height, width = placement.height / rows, placement.width / columns
    spots: list[Box] = []
    for first in heaviest.tolist():
        r, c = np.divmod(places[spot == spot[first]], columns)
        corners = (c.min() * width, r.min() * height, (c.max() + 1) * width, (r.max() + 1) * height)
        weight = float(cells.ravel()[places[first]])
        spots.append(Box(*placement.box(label, weight, *map(float, corners))))
    return tuple(spots)
