"""What the outputs of a graph may be: heads that fit their shapes and values, the most likely first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.yolo import cells
from edgeloop.models.head import Activation, Form, Head
from edgeloop_tools.model import priors
from edgeloop_tools.model.opened import Opened, _literal

Array = NDArray[Any]
Outputs = Sequence[Mapping[str, Array]]
STRIDES: Final = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32), (8,), (16,), (32,), (4,))
INSIDE: Final = 0.02
SCORE_WORDS: Final = ("score", "logit", "conf", "prob", "cls", "class")


@dataclass(frozen=True)
class Candidate:
    """A head that fits. classes: labels that it needs; 0: any. weight: how likely before anything was tried."""

    head: Head
    task: str
    classes: int
    words: str
    weight: float = 1.0


def propose(opened: Opened, outputs: Outputs, task: str, wanted: str) -> list[Candidate]:
    """outputs: of several pictures. task, wanted (a decoder): empty where nobody said. Best first."""
    found = list(_all(opened, outputs, task))
    if wanted:
        found = [c for c in found if c.head.decoder == wanted] or list(_forced(opened, outputs, wanted))
    if task:
        found = [c for c in found if c.task == task]
    unique: dict[bytes, Candidate] = {}
    for each in sorted(found, key=lambda c: -c.weight):
        unique.setdefault(msgspec.json.encode(each.head), each)
    return list(unique.values())


def _all(opened: Opened, outputs: Outputs, task: str) -> Iterator[Candidate]:
    first = outputs[0]
    if task in ("", "one_class"):
        yield from _one_class(opened, outputs, task)
    if task == "embedding":
        yield from _embedding(first)
    if task == "keypoints":
        yield from _keypoints(opened, first)
    if task in ("", "detection", "keypoints"):
        yield from _yolo(opened, outputs, task)
        yield from _boxes(opened, outputs)
        yield from _levels(opened, first)
        yield from _centernet(opened, outputs)
    if task in ("", "segmentation"):
        yield from _segmentation(opened, outputs, task)
    if task in ("", "classification"):
        yield from _classification(opened, outputs)


def _forced(opened: Opened, outputs: Outputs, wanted: str) -> Iterator[Candidate]:
    """What a person named although the shapes do not tell it."""
    if wanted in ("yolo", "yolo_end"):
        for name, values in outputs[0].items():
            rows = _plain(values)
            if rows.ndim == 2 and min(rows.shape) >= 5:
                first = rows.shape[0] < rows.shape[1]
                attributes = min(rows.shape)
                if wanted == "yolo_end":
                    head = Head(decoder="yolo_end", roles={"rows": name}, overlap=1.0)
                    yield Candidate(head, "detection", 0, "YOLO with its last step in the graph")
                else:
                    head = Head(decoder="yolo", roles={"rows": name}, form="cxcywh", channels_first=first,
                                objectness=not first)  # fmt: skip
                    yield Candidate(head, "detection", attributes - 4 - (not first), "YOLO as named")


# -- boxes -------------------------------------------------------------------------------------------------------------


def _yolo(opened: Opened, outputs: Outputs, task: str) -> Iterator[Candidate]:
    said = opened.said
    if said.get("task") == "obb":
        opened.notes.append("the model says that its boxes are turned (obb): nothing here reads those")
        return
    first = outputs[0]
    planes = {name: a for name, a in first.items() if _plain(a).ndim == 3}
    labels = len(opened.labels)
    shape = _literal(said.get("kpt_shape", ""))
    for name, values in first.items():
        rows = _plain(values)
        if rows.ndim != 2 or (len(first) - len(planes) > 1 and len(first) > 2):
            continue
        yield from _yolo_end(opened, outputs, name, planes)
        for channels_first in (True, False):
            attributes, count = rows.shape if channels_first else rows.shape[::-1]
            fit = _grid(count, opened.width, opened.height)
            if fit is None or attributes < 5 or attributes > 1200:
                continue
            anchors, strides = fit
            masks, roles = 0, {"rows": name}
            if len(planes) == 1 and (plane := next(iter(planes.items())))[1].shape[-3] in (8, 16, 32, 64, 128):
                masks, roles = plane[1].shape[-3], {"rows": name, "prototypes": plane[0]}
            elif planes:
                continue
            points, dimensions = (
                (int(shape[0]), int(shape[1])) if isinstance(shape, list) and len(shape) == 2 else (0, 3)
            )
            if not points and task == "keypoints":
                points = 17 if attributes in (56, 57) else max(0, (attributes - 5) // 3)
            tail = masks + points * dimensions
            samples = np.concatenate([_turned(_plain(o[name]), channels_first) for o in outputs])
            for objectness in (False,) if channels_first else (True,) if anchors > 1 else (False, True):
                classes = attributes - tail - 4 - objectness
                if classes < 1:
                    continue
                weight = _objectness(channels_first, anchors, objectness, bool(labels and classes == labels))
                begin = 4 + objectness
                chances = samples[:, 4 : begin + classes]
                inside = bool(chances.min() >= -INSIDE and chances.max() <= 1 + INSIDE)
                scores = samples[:, begin : begin + classes].max(axis=1) * (samples[:, 4] if objectness else 1)
                head = Head(
                    decoder="yolo", roles=roles, form="cxcywh", channels_first=channels_first, objectness=objectness,
                    masks=masks, points=points, dimensions=dimensions, activation="none" if inside else "sigmoid",
                )  # fmt: skip
                words = f"YOLO, {count:,} rows of {attributes}: box{', objectness' * objectness}, {classes} classes"
                words += f", {masks} mask coefficients" * bool(masks) + f", {points} keypoints" * bool(points)
                for turned, more in _row_forms(head, samples[:, :4], scores, count, opened, strides):
                    yield Candidate(turned, "keypoints" if points else "detection", classes, words + more, weight)


def _objectness(channels_first: bool, anchors: int, objectness: bool, told: bool) -> float:
    """YOLOv5 and YOLOX have rows and an objectness; v8 and later have columns and none."""
    likely = objectness == (anchors > 1 or not channels_first)
    return (1.0 if likely else 0.35) * (1.2 if told else 1.0)


def _row_forms(
    head: Head, boxes: Array, scores: Array, count: int, opened: Opened, strides: tuple[int, ...]
) -> Iterator[tuple[Head, str]]:
    """Boxes in pixels, in shares, or in cells from the corner of their own: then the first number does not grow with
    the place of its cell, and some are negative."""
    if len(strides) > 1 and not (len(boxes) % count) and float(np.quantile(np.abs(boxes[:, :2]), 0.99)) < 20:
        places, sizes = cells(strides, opened.width, opened.height)
        across = np.tile((places * sizes)[:, 0], len(boxes) // len(places))
        alike = 0.0
        if len(across) == len(boxes) and boxes[:, 0].std() > 0:
            alike = float(np.corrcoef(across, boxes[:, 0])[0, 1])
        if alike < 0.5 and float(boxes.min()) < -0.01:
            yield msgspec.structs.replace(head, strides=strides), f", in cells of {'/'.join(map(str, strides))}"
            return
    sure = boxes[np.argsort(-scores)[:100]]
    units = "shares" if float(np.abs(sure).max()) <= 2 else "pixels"
    if _ordered(sure) > 0.995 and float((sure[:, 2:] > 1).mean()) > 0.5 and _ordered(boxes) > 0.995:
        yield replace_form(head, "xyxy", units), ", corners"
    yield replace_form(head, "cxcywh", units), ""


def replace_form(head: Head, form: Form, units: Any) -> Head:
    return msgspec.structs.replace(head, form=form, units=units)


def _yolo_end(opened: Opened, outputs: Outputs, name: str, planes: Mapping[str, Array]) -> Iterator[Candidate]:
    samples = [_plain(o[name]) for o in outputs]
    width = samples[0].shape[1]
    rows = np.concatenate([s for s in samples if s.ndim == 2 and s.shape[1] == width])
    masks = width - 6 if planes and width > 6 else 0
    if _grid(len(samples[0]), opened.width, opened.height) or (width not in (6, 7) and not masks):
        return
    roles = {"rows": name} | ({"prototypes": next(iter(planes))} if masks else {})
    score, named = (6, 5) if width == 7 and not masks else (4, 5)
    if len(rows):
        whole = float((np.abs(rows[:, named] - np.round(rows[:, named])) < 1e-3).mean())
        if whole < 0.99 or rows[:, score].min() < -INSIDE or rows[:, score].max() > 1 + INSIDE:
            return
    boxes = rows[:, 1:5] if width == 7 and not masks else rows[:, :4]
    units = "shares" if len(boxes) and float(np.abs(boxes).max()) <= 1.5 else "pixels"
    labels = len(opened.labels) or (int(rows[:, named].max()) + 1 if len(rows) else 0)
    head = Head(decoder="yolo_end", roles=roles, units=units, masks=masks, overlap=1.0)  # type: ignore[arg-type]
    yield Candidate(head, "detection", labels, f"YOLO with its last step in the graph: rows of {width}", 1.1)


def _boxes(opened: Opened, outputs: Outputs) -> Iterator[Candidate]:
    """An output of boxes beside one of scores, and perhaps classes, a count, masks."""
    first = {name: _plain(a) for name, a in outputs[0].items()}
    for name, boxes in first.items():
        form_of_rows = boxes.ndim == 2 and boxes.shape[1] == 4
        if not form_of_rows or _says(name, SCORE_WORDS):
            continue
        count = len(boxes)
        for scores_name, scores in first.items():
            if scores_name == name or scores.dtype.kind != "f":
                continue
            shape = scores.shape
            if not ((scores.ndim <= 2 and shape[:1] == (count,)) or (scores.ndim == 2 and shape[1] == count)):
                continue
            if shape == (count, 4) and not _says(scores_name, SCORE_WORDS) and _looks_like_boxes(scores):
                continue
            yield from _boxed(opened, outputs, name, scores_name, count)


def _says(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def _looks_like_boxes(values: Array) -> bool:
    return bool(len(values) and float(values.min()) > -INSIDE and _ordered(values) > 0.9)


def _boxed(opened: Opened, outputs: Outputs, name: str, scores_name: str, count: int) -> Iterator[Candidate]:
    first = outputs[0]
    scores = [_plain(o[scores_name]) for o in outputs]
    roles = {"boxes": name, "scores": scores_name}
    single = scores[0].ndim < 2 or 1 in scores[0].shape
    if single and _names_classes(scores_name, scores[0], first, count):
        return
    named = ""
    for other, values in first.items():
        plain = _plain(values)
        if other in roles.values():
            continue
        integral = plain.dtype.kind in "iu" or (plain.dtype.kind == "f" and bool(np.all(plain == np.round(plain))))
        lower = other.lower()
        if plain.size == 1 and integral and (count != 1 or "num" in lower or "count" in lower):
            roles["count"] = other
        elif single and plain.size == count and integral and not named:
            named = roles["classes"] = other
        elif plain.ndim >= 3 and plain.shape[0] == count and plain.shape[-1] > 4:
            roles["masks"] = other
    if single and scores[0].size and _integral(scores[0]) and named and not _integral(_plain(first[named])):
        return
    boxes = np.concatenate([_plain(o[name]) for o in outputs if _plain(o[name]).ndim == 2])
    labels = len(opened.labels)
    if single:
        top = max((int(np.max(_plain(o[named]))) for o in outputs if named and _plain(o[named]).size), default=0)
        plain_scores = np.concatenate([s.ravel() for s in scores])
        inside = not len(plain_scores) or (plain_scores.min() >= -INSIDE and plain_scores.max() <= 1 + INSIDE)
        classes = labels or (top + 1 if named else 1)
        kinds: list[tuple[dict[str, Any], int, float]] = [
            ({"activation": "none" if inside else "sigmoid"}, classes, 1.0)
        ]
        lists = bool(named)
    else:
        kinds = list(_score_kinds(np.concatenate([_by_row(s, count) for s in scores]), labels))
        lists = False
    few = count <= 1000 and _grid(count, opened.width, opened.height) is None
    for kind, classes, weight in kinds:
        for form, units, likely in _forms(boxes, name, first):
            head = Head(
                decoder="boxes", roles=roles, form=form, units=units, **kind,
                overlap=1.0 if lists or (few and form == "cxcywh") else 0.45,
            )  # fmt: skip
            words = f"{count:,} boxes ({form}, {units}) with {'a score' if single else f'{classes} scores'} each"
            words += {-1: "", 0: ", the first class nothing"}.get(head.background, ", the last class nothing")
            yield Candidate(head, "detection", classes, words, weight * likely * 0.95)
    if not single and float((boxes[:, 2:] < 0).mean()) > 0.01:
        for fitting, words in priors.fitting(count, opened.width, opened.height):
            for kind, classes, weight in kinds:
                head = msgspec.structs.replace(fitting, roles=roles, **kind)
                yield Candidate(head, "detection", classes, f"SSD: offsets from {count:,} priors, {words}", weight)


def _names_classes(name: str, values: Array, outputs: Mapping[str, Array], count: int) -> bool:
    """Whether an output of one number a box is its class, since another one is its score."""
    others = [n for n, a in outputs.items() if n != name and a.dtype.kind == "f" and _plain(a).size == count > 1]
    if not others:
        return False
    if any(word in name.lower() for word in ("class", "label", "cls")):
        return True
    return _integral(values) and not all(_integral(outputs[n]) for n in others)


def _forms(boxes: Array, name: str, outputs: Mapping[str, Array]) -> Iterator[tuple[Form, Any, float]]:
    boxes = boxes[np.any(boxes != 0, axis=1)]
    if not len(boxes):
        yield "xyxy", "pixels", 1.0
        return
    if float((boxes < -0.5 * np.abs(boxes).max()).mean()) > 0.05:
        return
    units = "shares" if float(np.quantile(np.abs(boxes), 0.99)) <= 2 else "pixels"
    if _ordered(boxes) > 0.97:
        tensorflow = "detection_boxes" in name or any("detection_boxes" in each for each in outputs)
        yield ("yxyx" if tensorflow else "xyxy"), units, 1.0
        yield ("xyxy" if tensorflow else "yxyx"), units, 0.7
    if float((boxes[:, 2:] >= 0).mean()) > 0.99:
        yield "cxcywh", units, 0.9 if _ordered(boxes) <= 0.97 else 0.6
        yield "xywh", units, 0.5


def _score_kinds(values: Array, labels: int) -> Iterator[tuple[dict[str, Any], int, float]]:
    """(n, classes) → settings of the head, labels needed, how likely."""
    columns = values.shape[1]
    inside = values.min() >= -INSIDE and values.max() <= 1 + INSIDE
    sums = values.sum(axis=1)
    if inside and float((np.abs(sums - 1) < 0.02).mean()) > 0.98 and columns > 1:
        means = values.mean(axis=0)
        place = 0 if means[0] >= means[-1] else columns - 1
        yield {"background": place}, columns - 1, 1.0 if means[place] > 0.5 else 0.6
        yield {}, columns, 0.5
        return
    if inside:
        yield {}, columns, 1.0
        return
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    shares = (shifted / shifted.sum(axis=1, keepdims=True)).mean(axis=0)
    for place in (columns - 1, 0):
        if columns > 1:
            likely = 1.1 if labels and columns == labels + 1 else 0.9 if shares[place] > 0.4 else 0.4
            yield {"activation": "softmax", "background": place}, columns - 1, likely
    yield {"activation": "sigmoid"}, columns, 1.1 if labels and columns == labels else 0.8


def _levels(opened: Opened, first: Mapping[str, Array]) -> Iterator[Candidate]:
    """Scores, boxes and perhaps points for each of three strides, as SCRFD and YuNet have them."""
    levels: list[tuple[int, dict[str, list[str]]]] = []
    for strides in STRIDES[:4]:
        levels = []
        for stride in strides:
            cells = -(-opened.height // stride) * -(-opened.width // stride)
            own: dict[str, list[str]] = {}
            for name, values in first.items():
                rows = _plain(values)
                if rows.ndim == 1:
                    rows = rows[:, None]
                if rows.ndim == 2 and rows.shape[0] in (cells, 2 * cells) and rows.shape[1] in (1, 4, 10):
                    own.setdefault(str(rows.shape[1]), []).append(name)
            levels.append((stride, own))
        if all(len(own.get("4", ())) == 1 and 1 <= len(own.get("1", ())) <= 2 for _, own in levels):
            break
    else:
        return
    roles: dict[str, str] = {}
    two = len(levels[0][1]["1"]) == 2
    for level, (_, own) in enumerate(levels):
        ones = sorted(own["1"], key=lambda name: "obj" in name.lower())
        roles |= {f"scores.{level}": ones[0], f"boxes.{level}": own["4"][0]}
        if two:
            roles[f"objects.{level}"] = ones[1]
        if own.get("10"):
            roles[f"points.{level}"] = own["10"][0]
    values = np.concatenate([_plain(first[roles[f"scores.{k}"]]).ravel() for k in range(len(levels))])
    inside = values.min() >= -INSIDE and values.max() <= 1 + INSIDE
    head = Head(
        decoder="points", roles=roles, strides=tuple(stride for stride, _ in levels), form="cxcywh" if two else "xyxy",
        activation="none" if inside else "sigmoid",
    )  # fmt: skip
    words = f"boxes from the points of {len(levels)} grids, {'with' if two else 'without'} objectness"
    yield Candidate(head, "detection", 1, words, 1.2)


def _centernet(opened: Opened, outputs: Outputs) -> Iterator[Candidate]:
    first = outputs[0]
    planes = {name: _cube(a) for name, a in first.items() if _cube(a) is not None}
    shapes = {a.shape[1:] for a in planes.values() if a is not None}
    if len(planes) != len(first) or len(planes) not in (2, 3) or len(shapes) != 1:
        return
    names = list(planes)
    for order in itertools.permutations(names):
        heat, size = order[0], order[1]
        offset = order[2] if len(order) == 3 else ""
        cube = planes[heat]
        assert cube is not None
        if any(planes[n] is None or len(planes[n]) != 2 for n in order[1:]):  # type: ignore[arg-type]
            continue
        known = {"heat": ("hm", "heat", "center"), "size": ("wh", "size", "dim"), "offset": ("reg", "off")}
        hints = sum(any(w in n.lower() for w in known[role]) for role, n in zip(known, order, strict=False))
        values = np.concatenate([np.asarray(o[heat]).ravel() for o in outputs])
        if offset:
            spread = [
                float(np.abs(np.concatenate([np.asarray(o[n]).ravel() for o in outputs])).mean()) for n in order[1:]
            ]
            hints += spread[0] >= spread[1]
        head = Head(
            decoder="centernet", roles={"heat": heat, "size": size} | ({"offset": offset} if offset else {}),
            units="shares", overlap=0.6,
            activation="none" if values.min() >= -INSIDE and values.max() <= 1 + INSIDE else "sigmoid",
        )  # fmt: skip
        words = f"CenterNet: heat {heat}, size {size}" + f", offset {offset}" * bool(offset)
        yield Candidate(head, "detection", len(cube), words, 0.7 + 0.1 * hints)
        yield Candidate(
            msgspec.structs.replace(head, units="pixels"),
            "detection",
            len(cube),
            words + ", in pixels",
            0.5 + 0.1 * hints,
        )


# -- areas, classes, one class -----------------------------------------------------------------------------------------


def _segmentation(opened: Opened, outputs: Outputs, task: str) -> Iterator[Candidate]:
    first = outputs[0]
    for name, values in first.items():
        plain = values[0] if values.ndim == 4 and values.shape[0] == 1 else values
        if plain.dtype.kind in "iub":
            flat = _plain(plain)
            if flat.ndim == 2 and min(flat.shape) >= 8 and _same_shape(flat.shape, opened):
                classes = max(len(opened.labels), int(max(np.max(o[name]) for o in outputs)) + 1, 2)
                head = Head(decoder="segmentation", roles={"area": name}, channels_first=True)
                yield Candidate(head, "segmentation", classes, f"a class for each place, {flat.shape}", 1.0)
            continue
        if plain.ndim != 3 or (len(first) > 1 and not task):
            continue
        for channels_first in (True, False):
            down, across = plain.shape[1:] if channels_first else plain.shape[:2]
            classes = plain.shape[0] if channels_first else plain.shape[2]
            if min(down, across) < 8 or not _same_shape((down, across), opened) or classes > 512:
                continue
            samples = np.concatenate([np.asarray(o[name]).ravel() for o in outputs])
            inside = samples.min() >= -INSIDE and samples.max() <= 1 + INSIDE
            activation: Activation = "none" if inside else "sigmoid" if classes == 1 else "softmax"
            head = Head(
                decoder="segmentation", roles={"area": name}, channels_first=channels_first, activation=activation,
            )  # fmt: skip
            weight = 1.0 if max(opened.width, opened.height) <= 8 * max(down, across) else 0.5
            words = f"{classes} plane{'s' if classes > 1 else ''} of {across} × {down}"
            yield Candidate(head, "segmentation", max(classes, 2), words, weight)


def _classification(opened: Opened, outputs: Outputs) -> Iterator[Candidate]:
    for name in outputs[0]:
        values = np.stack([_plain(np.asarray(o[name])).ravel() for o in outputs])
        shape = outputs[0][name].shape
        count = values.shape[1]
        if values.dtype.kind != "f" or max(shape) != count or count > 30_000 or (len(outputs[0]) > 1 and count < 2):
            continue
        inside = values.min() >= -INSIDE and values.max() <= 1 + INSIDE
        alone = inside and bool((np.abs(values.sum(axis=1) - 1) < 0.02).all()) and count > 1
        if count == 1:
            if len(opened.labels) != 2:
                continue
            head = Head(decoder="classification", roles={"scores": name}, activation="none" if inside else "sigmoid")
            yield Candidate(head, "classification", 2, "the chance of the second label", 1.0)
            continue
        right = 1.2 if len(opened.labels) == count else 1.0
        if alone:
            head = Head(decoder="classification", roles={"scores": name})
            yield Candidate(head, "classification", count, f"probabilities of {count} labels", right)
        elif inside:
            head = Head(decoder="classification", roles={"scores": name}, exclusive=False)
            yield Candidate(head, "classification", count, f"{count} labels, each for itself", right)
        else:
            head = Head(decoder="classification", roles={"scores": name}, activation="softmax")
            yield Candidate(head, "classification", count, f"logits of {count} labels", right)
            several = Head(decoder="classification", roles={"scores": name}, activation="sigmoid", exclusive=False)
            yield Candidate(several, "classification", count, f"logits of {count} labels, each for itself", 0.5 * right)


def _one_class(opened: Opened, outputs: Outputs, task: str) -> Iterator[Candidate]:
    first = outputs[0]
    score = heat = ""
    features = []
    for name, values in first.items():
        lower, plain = name.lower(), _plain(values)
        if values.dtype.kind != "f":
            continue
        if values.size == 1 and ("score" in lower or task) and not score:
            score = name
        elif plain.ndim == 2 and min(plain.shape) >= 8 and "mask" not in lower and _same_shape(plain.shape, opened):
            heat = name if not heat or "map" in lower else heat
        elif plain.ndim == 3 and plain.shape[0] >= 8 and min(plain.shape[1:]) >= 4:
            features.append(name)
    hinted = any(word in name.lower() for name in first for word in ("anomaly", "pred_score"))
    if (score or heat) and (task or hinted):
        roles = ({"score": score} if score else {}) | ({"heat": heat} if heat else {})
        words = "one class: " + " and ".join(("a score",) * bool(score) + ("a heat map",) * bool(heat))
        yield Candidate(Head(decoder="one_class", roles=roles), "one_class", 2, words, 1.2)
    elif features and task:
        roles = {f"features.{k}": name for k, name in enumerate(features)}
        head = Head(decoder="memory_bank", roles=roles, file="bank.npz")
        yield Candidate(
            head, "one_class", 2, f"features of {len(features)} layers against a memory of good pictures", 1.0
        )


def _embedding(first: Mapping[str, Array]) -> Iterator[Candidate]:
    for name, values in first.items():
        if values.dtype.kind == "f" and values.size == max(values.shape) >= 8:
            head = Head(decoder="embedding", roles={"vector": name}, file="gallery.npz")
            yield Candidate(head, "embedding", 0, f"a vector of {values.size}", 1.0)


def _keypoints(opened: Opened, first: Mapping[str, Array]) -> Iterator[Candidate]:
    for name, values in first.items():
        cube = _cube(values)
        if cube is not None and min(cube.shape[1:]) >= 8 and _same_shape(cube.shape[1:], opened):
            head = Head(decoder="keypoints", roles={"points": name}, least=0.3)
            yield Candidate(head, "keypoints", 1, f"{len(cube)} heat maps", 1.0)
        rows = _plain(values)
        if rows.ndim == 2 and rows.shape[1] in (2, 3) and 3 <= len(rows) <= 600:
            units = "shares" if float(np.abs(rows[:, :2]).max()) <= 1.5 else "pixels"
            form: Form = "yxyx" if len(rows) == 17 and units == "shares" else "xyxy"
            head = Head(decoder="keypoints", roles={"points": name}, units=units, form=form, dimensions=rows.shape[1])  # type: ignore[arg-type]
            yield Candidate(head, "keypoints", 1, f"{len(rows)} points ({units})", 1.0)


# -- shapes ------------------------------------------------------------------------------------------------------------


def _plain(values: Array) -> Array:
    """Without axes of extent 1 in front, and behind where more than two are left."""
    while values.ndim > 1 and values.shape[0] == 1:
        values = values[0]
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    return values


def _cube(values: Array) -> Array | None:
    if values.dtype.kind != "f" or values.ndim not in (3, 4) or (values.ndim == 4 and values.shape[0] != 1):
        return None
    cube = values[0] if values.ndim == 4 else values
    return cube if min(cube.shape[1:]) >= 4 else None


def _turned(rows: Array, channels_first: bool) -> Array:
    return rows.T if channels_first else rows


def _by_row(scores: Array, count: int) -> Array:
    return scores if len(scores) == count else scores.T


def _integral(values: Array) -> bool:
    return values.dtype.kind in "iu" or bool(np.all(values == np.round(values)))


def _ordered(boxes: Array) -> float:
    """The share of rows whose third and fourth number are not less than the first and second."""
    return float(((boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 1])).mean()) if len(boxes) else 1.0


def _same_shape(extents: Sequence[int], opened: Opened) -> bool:
    """Whether rows and columns lie over the input as it is."""
    down, across = extents
    return abs(down / across * opened.width / opened.height - 1) < 0.15 and down <= 2 * opened.height


def _grid(count: int, width: int, height: int) -> tuple[int, tuple[int, ...]] | None:
    """Anchors of each cell, and strides, where rows are the cells of grids over the input.

    >>> _grid(8400, 640, 640), _grid(25200, 640, 640), _grid(300, 640, 640)
    ((1, (8, 16, 32)), (3, (8, 16, 32)), None)
    """
    for anchors in (1, 3, 2):
        for strides in STRIDES:
            cells = sum(-(-height // s) * -(-width // s) for s in strides)
            whole = sum((height // s) * (width // s) for s in strides)
            if count in (anchors * cells, anchors * whole):
                return anchors, strides
    return None
