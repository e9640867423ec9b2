"""What a model's outputs mean: labels, boxes, confidence; and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_inference.prepare import Placement
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Manifest

Word = Literal["pass", "fail", "unknown"]
Array = NDArray[Any]
LIKELY: Final = 0.5
MOST: Final = 20


class Box(msgspec.Struct, frozen=True):
    """Where something is: shares of the whole image, from the upper left corner."""

    label: str
    score: float
    x: float
    y: float
    width: float
    height: float


class Finding(msgspec.Struct, frozen=True):
    """What a model says of one image. score: 0..1, higher is worse; confidence: 0..1, of `label`."""

    label: str
    score: float
    confidence: float
    boxes: tuple[Box, ...] = ()


class Criteria(msgspec.Struct, frozen=True):
    """accept: labels that pass. threshold: score from which it fails; None: the model's own. certain: confidence under
    which the verdict is unknown."""

    accept: frozenset[str]
    threshold: float | None = None
    certain: float = 0.0

    def judge(self, finding: Finding, manifest: Manifest) -> Word:
        if finding.confidence < self.certain:
            return "unknown"
        return "fail" if finding.score >= self.limit(manifest) else "pass"

    def limit(self, manifest: Manifest) -> float:
        return self.threshold if self.threshold is not None else manifest.thresholds.get("fail", LIKELY)


def interpret(manifest: Manifest, outputs: Sequence[Array], placement: Placement, criteria: Criteria) -> Finding:
    """Raises ModelError where the outputs are not what the task says.

    * classification: the first output has one value for each label: probabilities, or logits;
    * one_class: the first output is one number, higher is worse;
    * detection: outputs `boxes` (n, 4: left, top, right, bottom as pixels of the input), `scores` (n) and, where there
      are several labels, `classes` (n);
    * an output `map` (rows, columns: weights 0..1, all over the input) says where, for the first two.
    """
    named = dict(zip((tensor.name for tensor in manifest.outputs), outputs, strict=True))
    if manifest.task == "detection":
        return _detection(manifest, named, placement, criteria)
    if manifest.task == "classification":
        label, score, confidence = _classification(manifest, outputs[0], criteria)
    elif manifest.task in ("one_class", "anomaly"):
        label, score, confidence = _one_class(manifest, outputs[0], criteria)
    else:
        raise ModelError("images cannot be judged by this model", why=f"its task is {manifest.task}")
    where = named.get("map")
    boxes = _spots(where, label, placement) if where is not None and score >= criteria.limit(manifest) else ()
    return Finding(label, round(score, 4), round(confidence, 4), boxes)


def _finite(values: Array, what: str) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise ModelError("the model gave no number", why=f"output {what} has NaN or infinity")
    return numbers


def _classification(manifest: Manifest, output: Array, criteria: Criteria) -> tuple[str, float, float]:
    values = _finite(output, "0").ravel()
    if len(values) != len(manifest.labels):
        raise ModelError("the model does not fit its labels", why=f"{len(values)} values for {len(manifest.labels)}")
    if values.min() < 0 or abs(values.sum() - 1) > 0.01:
        values = np.exp((values - values.max()) / manifest.calibration.temperature)
        values /= values.sum()
    bad = [i for i, name in enumerate(manifest.labels) if name not in criteria.accept]
    score = float(values[bad].sum())
    fails = score >= criteria.limit(manifest)
    among = bad if fails and bad else [i for i in range(len(values)) if i not in bad] or bad
    best = max(among, key=lambda i: values[i])
    return manifest.labels[best], score, score if fails else 1 - score


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
    nearest = min((abs(float(s) - limit) for s in scores), default=limit)
    confidence = min(1.0, 0.5 + 0.5 * nearest / max(limit, 1 - limit))
    return Finding(label, round(score, 4), round(confidence, 4), tuple(Box(*b) for b in found))


def _spots(weights: Array, label: str, placement: Placement) -> tuple[Box, ...]:
    """Boxes around the connected cells above half of the largest weight, heaviest first."""
    cells = _finite(weights, "map")
    cells = cells.reshape(cells.shape[-2:])
    over = cells >= max(0.25, 0.5 * float(cells.max()))
    rows, columns = int(np.size(cells, 0)), int(np.size(cells, 1))
    spots: list[Box] = []
    while len(spots) < MOST and over.any():
        first = divmod(int(np.argmax(np.where(over, cells, -1.0))), columns)
        todo, top, left, bottom, right = [first], rows, columns, 0, 0
        over[first] = False
        while todo:
            r, c = todo.pop()
            top, left, bottom, right = min(top, r), min(left, c), max(bottom, r + 1), max(right, c + 1)
            for nr in range(max(0, r - 1), min(rows, r + 2)):
                for nc in range(max(0, c - 1), min(columns, c + 2)):
                    if over[nr, nc]:
                        over[nr, nc] = False
                        todo.append((nr, nc))
        height, width = placement.height / rows, placement.width / columns
        corners = (left * width, top * height, right * width, bottom * height)
        spots.append(Box(*placement.box(label, float(cells[first]), *corners)))
    return tuple(spots)
