"""What an endpoint answers, as an opinion: our own form, and those that are common."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgeloop import decode
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.opinions.messages import Said, Where

MOST: Final = 20
_WRAPPERS: Final = ("predictions", "outputs", "results", "result", "output", "body")


def opinion(answer: bytes, labels: Sequence[str] = ()) -> tuple[Said, tuple[Where, ...]]:
    """Label, how sure, and boxes (shares of the picture), of JSON in one of these forms:

    * `{"label": "scratch", "confidence": 0.93}`; with `score` (higher is worse), `verdict`, `model`, `boxes`;
    * `[{"label": "scratch", "score": 0.93}, …]`, as image classifiers of Hugging Face answer;
    * `[0.02, 0.93, 0.05]`, probabilities in the order of `labels`;
    * any of these within `predictions`, `outputs`, `result` or a list of one.

    Raises EdgeloopError.
    """
    try:
        value = decode.document(answer, what="the endpoint's answer")
    except DecodeError as error:
        raise EdgeloopError("the endpoint's answer is not understood", why=error.why) from None
    for _ in range(4):
        inner = _inside(value)
        if inner is None:
            break
        value = inner
    if isinstance(value, Mapping):
        return _own(value, labels)
    if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
        ranked = [(_number(e.get("score", e.get("confidence"))), str(e.get("label", ""))) for e in value]
        confidence, label = max(ranked, key=lambda pair: pair[0])
        return _said(label, confidence, 0.0), ()
    if isinstance(value, list) and value and all(_is_number(entry) for entry in value):
        return _probabilities(value, labels), ()
    raise EdgeloopError("the endpoint's answer is not understood", why="it has no label and no probabilities")


def _inside(value: Any) -> Any:
    if isinstance(value, Mapping) and "label" not in value:
        return next((value[name] for name in _WRAPPERS if name in value), None)
    if isinstance(value, list) and len(value) == 1 and not _is_number(value[0]):
        return value[0]
    return None


def _own(value: Mapping[str, Any], labels: Sequence[str]) -> tuple[Said, tuple[Where, ...]]:
    if "label" not in value and isinstance(value.get("probabilities"), list):
        own = value.get("labels")
        names = [str(name) for name in own] if isinstance(own, list) else labels
        return _probabilities(value["probabilities"], names), ()
    score = value.get("score")
    confidence = value.get("confidence", value.get("probability", score))
    said = _said(
        str(value.get("label") or ""),
        _number(confidence),
        _number(score) if "confidence" in value and score is not None else 0.0,
    )
    verdict = str(value.get("verdict", ""))
    model = value.get("model")
    name, version = (
        (model.get("name", ""), model.get("version", "")) if isinstance(model, Mapping) else (model or "", "")
    )
    found = tuple(_boxes(value.get("boxes")))
    return (
        Said(
            said.label, said.confidence, said.score, verdict if verdict in ("pass", "fail", "unknown") else "",
            str(name)[:64], str(version)[:32],
        ),
        found,
    )  # fmt: skip


def _boxes(value: Any) -> list[Where]:
    found = []
    for entry in value[:MOST] if isinstance(value, list) else ():
        if isinstance(entry, Mapping):
            x, y, width, height = (_number(entry.get(name)) for name in ("x", "y", "width", "height"))
            if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < width <= 1.001 - x and 0 < height <= 1.001 - y):
                raise EdgeloopError("the endpoint's answer is not understood", why="a box is not within the picture")
            score = _number(entry.get("score", 1.0))
            found.append(Where(str(entry.get("label", ""))[:64], min(1.0, max(0.0, score)), x, y, width, height))
    return found


def _probabilities(values: Sequence[Any], labels: Sequence[str]) -> Said:
    if not labels:
        why, mend = "probabilities, and no labels to them", "name them: opinion.labels"
        raise EdgeloopError("the endpoint's answer is not understood", why=why, mend=mend)
    numbers = [_number(value) for value in values]
    if len(numbers) != len(labels):
        why = f"{len(numbers)} probabilities for {len(labels)} labels"
        raise EdgeloopError("the endpoint's answer is not understood", why=why)
    if min(numbers) < -1e-6 or abs(sum(numbers) - 1) > 0.02:
        top = max(numbers)
        weights = [math.exp(number - top) for number in numbers]
        numbers = [weight / sum(weights) for weight in weights]
    best = max(range(len(numbers)), key=lambda k: numbers[k])
    return _said(labels[best], numbers[best], 0.0)


def _said(label: str, confidence: float, score: float) -> Said:
    if not label:
        raise EdgeloopError("the endpoint's answer is not understood", why="it has no label")
    if not 0 <= confidence <= 1.0001 or not -0.0001 <= score <= 1.0001:
        raise EdgeloopError("the endpoint's answer is not understood", why=f"{confidence:g} is no share, 0..1")
    return Said(label[:64], round(min(1.0, confidence), 4), round(min(1.0, max(0.0, score)), 4))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    if not _is_number(value) or not math.isfinite(value):
        raise EdgeloopError("the endpoint's answer is not understood", why=f"{str(value)[:40]!r} is no number")
    return float(value)
