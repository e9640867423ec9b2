"""Which head and which look of a picture are right, told by pictures: what is seen in one has to be seen in its mirror
image, at the mirrored place, as surely as before. What is read wrongly is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_inference.frame import Frame, Pixels
from camera_inference.prepare import Placement, Preparation
from edgeloop.errors import EdgeloopError
from edgeloop.models.decoders import Decoder, Seen
from edgeloop.models.errors import ModelError
from edgeloop.models.head import Head
from edgeloop.models.manifest import File, Golden, Image, Manifest, Tensor, Variant
from edgeloop_tools.model.heads import Candidate
from edgeloop_tools.model.looks import Look
from edgeloop_tools.model.opened import Opened

Array = NDArray[Any]
WHOLE: Final = (0.0, 0.0, 1.0, 1.0)
SURE: Final = 0.3
"""Score of a box that counts."""
_NONE: Final = File(sha256="0" * 64, size=1)


@dataclass(frozen=True)
class Picture:
    """image: BGR. group: the folder it lay in, relative to the one that was named."""

    name: str
    image: Pixels
    group: str = ""


def draft(
    opened: Opened,
    look: Look,
    head: Head | None,
    task: str,
    labels: tuple[str, ...],
    fit: str,
    outputs: dict[str, Array],
) -> Manifest:
    """A manifest that is enough to prepare pictures and to read outputs."""
    known: Any = task or "classification"
    chosen: Any = fit
    return Manifest(
        schema=2, name="draft", version="0.0.0", task=known, files={"model.onnx": _NONE, "golden.npz": _NONE},
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),), golden=Golden(), labels=labels,
        inputs=(Tensor(name=opened.name, dtype=_dtype(opened.dtype), shape=opened.shape),),
        outputs=tuple(Tensor(name=n, dtype=_dtype(str(a.dtype)), shape=()) for n, a in outputs.items()),
        preprocessing=(
            Image(
                input=opened.name, width=opened.width, height=opened.height, colour=look.colours,
                layout=_nchw(opened.layout), fit=chosen, scale=look.scale, mean=look.mean, deviation=look.deviation,
            ),
        ),
        head=head if head is None or not head.file else None,
    )  # fmt: skip


def _dtype(name: str) -> Any:
    return name


def _nchw(layout: str) -> Any:
    return layout


@dataclass
class Runs:
    """Outputs of pictures and of their mirror images, each run once. placements: how each picture lies on the input."""

    opened: Opened
    pictures: Sequence[Picture]
    fit: str

    def __post_init__(self) -> None:
        self._known: dict[Look, list[tuple[dict[str, Array], dict[str, Array]]]] = {}
        self.placements: list[Placement] = []

    def of(self, look: Look) -> list[tuple[dict[str, Array], dict[str, Array]]]:
        """Raises EdgeloopError."""
        if look not in self._known:
            manifest = draft(self.opened, look, None, "", (), self.fit, {})
            preparation = Preparation(manifest, WHOLE)
            found = []
            self.placements = []
            for picture in self.pictures:
                pair = []
                for image in (picture.image, np.ascontiguousarray(picture.image[:, ::-1])):
                    tensor, placement = preparation.fill(Frame("", 0, 0, image, "bgr"), preparation.buffer())
                    pair.append(self.opened.run(tensor))
                found.append((pair[0], pair[1]))
                self.placements.append(placement)
            self._known[look] = found
        return self._known[look]


def weigh(runs: Runs, candidate: Candidate, look: Look, labels: tuple[str, ...]) -> float:
    """How well what is seen holds in the mirror, 0..1 and above; −1 where nothing can be read."""
    head = msgspec.structs.replace(candidate.head, most=60)
    if head.file:
        return 0.5
    try:
        pairs = runs.of(look)
        manifest = draft(runs.opened, look, head, candidate.task, labels, runs.fit, pairs[0][0])
        decoder = Decoder(manifest)
        seen = [(decoder(list(one.values())), decoder(list(other.values()))) for one, other in pairs]
    except (ModelError, EdgeloopError):
        return -1.0
    if seen[0][0].chances is not None:
        return _classes(seen, [p.group for p in runs.pictures], labels)
    if seen[0][0].area is not None:
        return float(np.mean([_area(a, b) for a, b in seen]))
    if seen[0][0].score is not None:
        return float(
            np.mean([1 - abs(_score(a) - _score(b)) / (abs(_score(a)) + abs(_score(b)) + 1e-9) for a, b in seen])
        )
    return float(np.mean([_boxes(a, b, runs.opened.width) for a, b in seen]))


def _score(seen: Seen) -> float:
    return seen.score or 0.0


def _boxes(one: Seen, other: Seen, width: int) -> float:
    """Score times overlap with the mirrored box of the same class, less what has no such box; more for more boxes."""
    kept = np.flatnonzero(one.scores >= SURE)[:50]
    if not len(kept):
        return 0.2 * float(one.scores[0]) if len(one.scores) else 0.0
    total = 0.0
    for k in kept:
        box = one.boxes[k]
        mirrored = np.array([width - box[2], box[1], width - box[0], box[3]])
        same = np.flatnonzero((other.classes == one.classes[k]) & (other.scores >= SURE / 2))
        total += float(one.scores[k]) * (2 * _overlap(mirrored, other.boxes[same]) - 0.5)
    return total / len(kept) * (1 + 0.02 * len(kept)) if total > 0 else total / len(kept)


def _overlap(box: Array, boxes: Array) -> float:
    if not len(boxes):
        return 0.0
    size = np.prod(np.maximum(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) + np.prod(np.maximum(box[2:] - box[:2], 0))
    return float((size / np.maximum(areas - size, 1e-9)).max())


def _classes(seen: Sequence[tuple[Seen, Seen]], groups: Sequence[str], labels: tuple[str, ...]) -> float:
    """Right ones where folders are named as labels are; else how sure, and the same in the mirror."""
    chances = [(a.chances, b.chances) for a, b in seen if a.chances is not None and b.chances is not None]
    named = [labels.index(g) if g in labels else -1 for g in groups]
    if sum(n >= 0 for n in named) >= 2:
        right = [float(a[n]) + (int(a.argmax()) == n) for (a, _), n in zip(chances, named, strict=True) if n >= 0]
        return float(np.mean(right)) / 2
    agreed = float(np.mean([a.argmax() == b.argmax() for a, b in chances]))
    sure = float(np.mean([a.max() for a, _ in chances]))
    different = len({int(a.argmax()) for a, _ in chances}) / len(chances)
    return 0.5 * sure * agreed + 0.2 * different


def _area(one: Seen, other: Seen) -> float:
    """The common of what is not background, in the mirror; and how sure."""
    assert one.area is not None
    assert other.area is not None
    assert one.certainty is not None
    shown, again = one.area > 0, other.area[:, ::-1] > 0
    if not shown.any() and not again.any():
        return 0.1
    same = (one.area == other.area[:, ::-1]) & shown
    share = float(shown.mean())
    trust = float(one.certainty.mean())
    return float(same.sum()) / float((shown | again).sum()) * trust * (1.0 if share < 0.95 else 0.3)
