"""From good pictures to a model: each picture's gate, memory, limits, golden set."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.head import Pictures
from edgeloop.models.pictures import Measures, usual
from edgeloop.teach import memory
from edgeloop.teach.backbone import Floats, Pixels
from edgeloop.teach.bad import Evidence, learn
from edgeloop.teach.limits import FOLDS, Scores, limits_of
from edgeloop.teach.network import CELL, Head, Limits, Run, describer, finished, unusual
from edgeloop.teach.shown import Judged, Shown, enough, sifted, usual_size, working_size

GOLDEN_BYTES: Final = 12 << 20
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """reject: share of good parts that may be rejected. size: width and height of what the model is given; None: from
    the pictures. memory: patches."""

    reject: float = 0.01
    size: tuple[int, int] | None = None
    memory: int = memory.SIZE
    threads: int = 1


DEFAULT: Final = Options()


@dataclass(slots=True)
class Taught:
    """A model and how it came about. cell: pixels of one field of the heat map."""

    model: bytes
    width: int
    height: int
    limits: Limits
    memory: int
    judged: list[Judged]
    pictures: Pictures
    cases: list[golden.Case]
    metrics: dict[str, float]
    data: str
    notes: list[str] = field(default_factory=list)
    cell: int = CELL


def usable(
    good: Sequence[Shown], options: Options, told: Told, how: str
) -> tuple[int, int, list[Judged], list[tuple[str, Pixels]], list[Measures]]:
    """Width and height of what the model is given, each picture's gate, and of those that pass it place, pixels and
    measures. Raises EdgeloopError where they are too few."""
    if not good:
        raise EdgeloopError("there are no pictures to be taught from", mend="show 30 good parts")
    width, height = options.size or working_size(*usual_size(good))
    judged, kept, measures = sifted(good, width, height)
    enough(judged, len(kept))
    told(f"{len(kept)} of {len(good)} good pictures are usable; they are {how} as {width} x {height}")
    return width, height, judged, kept, measures


def teach(
    good: Sequence[Shown], bad: Sequence[Shown] = (), options: Options = DEFAULT, told: Told = lambda line: None
) -> Taught:
    """Raises EdgeloopError where too few good pictures are usable."""
    began = time.monotonic()
    width, height, judged, kept, measures = usable(good, options, told, "looked at")
    run = Run(describer(height, width), options.threads)
    patches = [run.patches(pixels) for _, pixels in kept]
    kept, patches, measures = _alike(judged, kept, patches, measures)
    enough(judged, len(kept))
    scores = _held_out(patches, options.memory)
    bad_judged, bad_kept, _ = sifted(bad, width, height, bad=True)
    bank = memory.spread(np.concatenate(patches), options.memory)
    bad_patches = [run.patches(pixels) for _, pixels in bad_kept]
    head: Head | None = None
    notes: list[str] = []
    if bad_kept:
        evidence = Evidence(patches, scores.places, bad_patches, [memory.distances(p, bank) for p in bad_patches])
        learned = learn(evidence, unusual(len(patches[0])))
        if learned is None:
            notes.append("the bad pictures taught nothing that their distance does not say: the memory alone judges")
        else:
            head = learned.head
            scores = scores.instead(learned.good, learned.bad)
    if bad_kept and head is None:
        scores = scores.instead(scores.fail, np.array([_top(memory.distances(p, bank)) for p in bad_patches]))
    limits = limits_of(scores, options.reject)
    model = finished(height, width, bank, limits, head)
    _say(judged, [name for name, _ in kept], scores.fail, limits)
    _say(bad_judged, [name for name, _ in bad_kept], scores.bad, limits)
    cases = _cases(model, [pixels for _, pixels in kept], [pixels for _, pixels in bad_kept], options.threads)
    metrics = _metrics(scores, limits, len(bank), time.monotonic() - began)
    digest = hashlib.sha256(b"".join(hashlib.sha256(p.tobytes()).digest() for _, p in [*kept, *bad_kept])).hexdigest()
    data = f"sha256:{digest}, {len(kept)} good and {len(bad_kept)} bad pictures"
    return Taught(
        model, width, height, limits, len(bank), [*judged, *bad_judged], usual(measures), cases, metrics, data, notes
    )


# -- inside ------------------------------------------------------------------------------------------------------------


def _alike(
    judged: list[Judged], kept: list[tuple[str, Pixels]], patches: list[Floats], measures: list[Measures]
) -> tuple[list[tuple[str, Pixels]], list[Floats], list[Measures]]:
    """Without those that show something else than most do: another product, another place, half a part."""
    centre = np.median(np.stack([p[:: max(1, len(p) // 400)] for p in patches]), axis=0)
    away = np.array([np.median(np.linalg.norm(p[:: max(1, len(p) // 400)] - centre, axis=1)) for p in patches])
    middle = float(np.median(away))
    spread = max(float(np.median(np.abs(away - middle))) * 1.4826, 0.04 * middle)
    odd = away > middle + 6 * spread
    by_name = {j.name: j for j in judged if not j.refused}
    for (name, _), strange in zip(kept, odd, strict=True):
        if strange:
            by_name[name].refused = "shows something else than the others do"
    keep = np.flatnonzero(~odd)
    return [kept[k] for k in keep], [patches[k] for k in keep], [measures[k] for k in keep]


def _held_out(patches: list[Floats], size: int) -> Scores:
    """Each picture by a memory of the others: in folds."""
    count = len(patches)
    away: list[Floats] = [np.zeros(0, np.float32)] * count
    folds = min(FOLDS, count)
    for fold in range(folds):
        own = range(fold, count, folds)
        bank = memory.spread(np.concatenate([p for k, p in enumerate(patches) if k not in own]), size, seed=fold + 1)
        for k in own:
            away[k] = memory.distances(patches[k], bank)
    ordered = [np.sort(a) for a in away]
    n = len(ordered[0])
    return Scores(
        fail=np.array([_top(a) for a in away]), middle=np.array([a[n - 1 - n // 2] for a in ordered]),
        most=np.array([a[n - 1 - n // 10] for a in ordered]), places=away,
    )  # fmt: skip


def _top(values: Floats) -> float:
    """Mean of the most unusual places."""
    count = unusual(len(values))
    return float(np.partition(values, len(values) - count)[len(values) - count :].mean())


def _say(judged: list[Judged], names: list[str], scores: NDArray[Any], limits: Limits) -> None:
    """Scores, and hints to look at what is labelled otherwise than it looks."""
    by_name = {j.name: j for j in judged if not j.refused}
    for name, score in zip(names, scores, strict=True):
        each = by_name[name]
        each.score = round(float(score) / limits.fail, 4)
        if not each.bad and score >= limits.fail:
            each.hint = "looks bad beside the others: is it good?"
        if each.bad and score < limits.fail:
            each.hint = "would pass: what is bad is hardly seen"


def _cases(model: bytes, good: list[Pixels], bad: list[Pixels], threads: int) -> list[golden.Case]:
    """Two good pictures, a bad one, and one upside down."""
    run = Run(model, threads)
    chosen = [*good[:1], *good[-1:], *bad[:1], np.ascontiguousarray(good[0][::-1])]
    chosen = chosen[: max(1, GOLDEN_BYTES // good[0].nbytes)]
    return [golden.Case({"image": pixels[None]}, run(pixels)) for pixels in chosen]


def _metrics(scores: Scores, limits: Limits, size: int, seconds: float) -> dict[str, float]:
    found = {
        "pictures": float(len(scores.fail)),
        "memory": float(size),
        "false_rejects_held_out": float((scores.fail >= limits.fail).mean()),
        "seconds": round(seconds, 2),
    }
    if len(scores.bad):
        found |= {"bad": float(len(scores.bad)), "found_held_out": float((scores.bad >= limits.fail).mean())}
    return {name: round(value, 4) for name, value in found.items()}
