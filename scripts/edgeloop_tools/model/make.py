"""From a model's file to a package: looked at, tried, measured, written, proven."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from camera_inference.frame import Frame
from camera_inference.prepare import Placement, Preparation
from camera_inference.verdict import Criteria, Finding, interpret
from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.decoders import Decoder
from edgeloop.models.decoders.bank import nearest, patches_of, unit
from edgeloop.models.graph import area, versions
from edgeloop.models.head import Confidence, Head
from edgeloop.models.manifest import Card, Golden, Manifest, Provenance, Tensor
from edgeloop.models.package import listed, pack, unpack
from edgeloop.models.pictures import measure, usual
from edgeloop.models.proof import Prover
from edgeloop_tools.model import samples
from edgeloop_tools.model.evidence import WHOLE, Picture, Runs, draft, weigh
from edgeloop_tools.model.heads import Candidate, propose
from edgeloop_tools.model.looks import Colours, Look, looks
from edgeloop_tools.model.opened import Opened, open_model

Array = NDArray[Any]
PROBES: Final = 4
PATCHES: Final = 2000
"""Of a memory bank."""
GOLDEN_BYTES: Final = 40 << 20


@dataclass(frozen=True)
class Wishes:
    """What was asked for; what is empty is found out."""

    model: Path
    name: str
    version: str
    out: Path
    task: str = ""
    labels: Path | None = None
    images: Path | None = None
    bad: Path | None = None
    head: str = ""
    size: tuple[int, int] | None = None
    fit: str = ""
    colours: str = ""
    scale: float | None = None
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()
    threshold: float | None = None
    golden: int = 4
    key: str = ""
    description: str = ""
    licence: str = ""


@dataclass
class Judged:
    """One picture, as a camera would see it."""

    picture: Picture
    finding: Finding
    verdict: str
    bad: bool = False


@dataclass
class Made:
    """What came of it. told: what was found out, with the option that would change it."""

    path: Path
    digest: str
    manifest: Manifest
    told: list[tuple[str, str, str]]
    judged: list[Judged] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make(wishes: Wishes) -> Made:
    """Raises EdgeloopError where a head cannot be interpreted, and where the package would not be taken."""
    opened = open_model(wishes.model, wishes.task, wishes.size, wishes.labels)
    good, lines = samples.read(wishes.images)
    bad, more = samples.read(wishes.bad)
    notes = [*opened.notes, *lines[:3], *more[:3]]
    fit = wishes.fit or ("letterbox" if "ultralytics" in str(opened.said).lower() else "stretch")
    probes = _probes(good, bad) or samples.stand_ins(opened.width, opened.height)
    runs = Runs(opened, probes, fit)
    known = _looks(opened, wishes)
    first = [pair[0] for pair in runs.of(known[0])]
    candidates = propose(opened, first, wishes.task, wishes.head)
    if not candidates:
        raise _unread(opened, first[0], wishes)
    if opened.labels:
        candidates = _labelled(opened, candidates, wishes)
    usual_fit = _usual_fit(candidates[0], opened, wishes, fit)
    if usual_fit != fit:
        fit = usual_fit
        runs = Runs(opened, probes, fit)
    if good or bad:
        candidate, look = _tried(runs, candidates, known, opened)
    else:
        candidate, look = candidates[0], known[0]
        notes.append("no pictures were given: colours, scale and head are guesses; name some with --images and look")
    labels = _names(opened, candidate, good, notes)
    arrays = _arrays(candidate.head, runs, look, good, labels)
    return _write(wishes, opened, candidate, look, fit, labels, arrays, good, bad, probes, notes)


def _probes(good: Sequence[Picture], bad: Sequence[Picture]) -> list[Picture]:
    both = [*good, *bad]
    return (
        [both[k] for k in np.unique(np.linspace(0, len(both) - 1, min(PROBES, len(both))).astype(int))] if both else []
    )


def _looks(opened: Opened, wishes: Wishes) -> list[Look]:
    said = "ultralytics" in str(opened.said).lower()
    detector = wishes.task in ("", "detection") or said
    known = looks(opened.channels, opened.itself, "unit" if detector else "imagenet")
    if wishes.colours:
        known = [look for look in known if look.colours == wishes.colours]
        if not known:
            raise EdgeloopError("the model has no such colours", where="--colours",
                                why=f"{wishes.colours}; it takes {opened.channels} channels")  # fmt: skip
    if wishes.scale is not None or wishes.mean or wishes.deviation:
        channels = opened.channels
        mean, deviation = wishes.mean, wishes.deviation
        if len(mean) not in (0, 1, channels) or len(deviation) not in (0, 1, channels):
            raise EdgeloopError("--mean and --std have one number, or one for each channel", why=f"{channels} channels")
        mean = mean * channels if len(mean) == 1 else mean or ((0.0,) * channels if deviation else ())
        deviation = deviation * channels if len(deviation) == 1 else deviation or ((1.0,) * channels if mean else ())
        own: list[Colours] = list(dict.fromkeys(look.colours for look in known))
        scale = wishes.scale if wishes.scale is not None else 255.0
        return [Look("as asked", colours, scale, mean, deviation) for colours in own]
    if said or opened.dtype == "uint8":
        return [look for look in known if look.words == known[0].words][: None if opened.dtype == "uint8" else 1]
    return known


def _labelled(opened: Opened, candidates: list[Candidate], wishes: Wishes) -> list[Candidate]:
    """Those whose classes are as many as there are labels; areas may leave out what is around things."""
    count = len(opened.labels)
    fitting = [
        c for c in candidates
        if c.classes in (0, count) or (c.task == "segmentation" and c.classes == count + 1) or c.task == "one_class"
    ]  # fmt: skip
    if not fitting:
        needed = ", ".join(str(n) for n in sorted({c.classes for c in candidates}))
        raise EdgeloopError("the labels do not fit the model", where=str(wishes.labels or "its metadata"),
                            why=f"{count} labels, {needed} are needed ({candidates[0].words})",
                            mend="correct --labels, or name the --head")  # fmt: skip
    return fitting


def _usual_fit(candidate: Candidate, opened: Opened, wishes: Wishes, fit: str) -> str:
    if wishes.fit:
        return wishes.fit
    return "letterbox" if candidate.head.decoder in ("yolo", "yolo_end") else fit


def _tried(runs: Runs, candidates: list[Candidate], known: list[Look], opened: Opened) -> tuple[Candidate, Look]:
    """The head and the look that hold best in the mirror."""
    if all(np.array_equal(one[name], other[name]) for one, other in runs.of(known[0]) for name in one):
        return candidates[0], known[0]
    best: tuple[float, Candidate, Look] | None = None
    for place, look in enumerate(known):
        for candidate in candidates[:6]:
            labels = opened.labels or tuple(f"class_{k}" for k in range(max(1, candidate.classes)))
            value = weigh(runs, candidate, look, labels)
            if value > -1:
                value = (0.2 + max(0.0, value)) * candidate.weight * (1.0 if place == 0 else 0.97)
            if best is None or value > best[0] + 1e-6:
                best = value, candidate, look
    assert best is not None
    if best[0] < 0:
        raise EdgeloopError("the model's outputs cannot be read", where=opened.name, why=candidates[0].words,
                            mend="name another --head, or export the model with boxes, scores and classes")  # fmt: skip
    return best[1], best[2]


def _names(opened: Opened, candidate: Candidate, good: Sequence[Picture], notes: list[str]) -> tuple[str, ...]:
    needed = candidate.classes
    if candidate.task == "one_class":
        return ("good", "anomaly")
    if candidate.task == "embedding":
        return tuple(sorted({p.group or p.name for p in good}))
    if opened.labels:
        if candidate.task == "segmentation" and needed == len(opened.labels) + 1:
            return ("background", *opened.labels)
        return opened.labels
    if candidate.task == "segmentation" and needed == 2:
        made: tuple[str, ...] = ("background", "object")
    else:
        made = ("object",) if needed == 1 else tuple(f"class_{k}" for k in range(needed))
    notes.append(f"the model does not name its labels: {made[0]} … {made[-1]}; name them with --labels FILE")
    return made


def _arrays(
    head: Head, runs: Runs, look: Look, good: Sequence[Picture], labels: tuple[str, ...]
) -> dict[str, NDArray[Any]]:
    """The head's file: a memory of good pictures, or a gallery."""
    if not head.file:
        return {}
    if not good:
        raise EdgeloopError("this model compares with pictures", where=head.decoder, mend="name some with --images DIR")
    found = Runs(runs.opened, good, runs.fit).of(look)
    if head.decoder == "embedding":
        name = head.roles["vector"]
        vectors = unit(np.stack([np.asarray(one[name], np.float32).ravel() for one, _ in found]))
        names = np.array([labels.index(p.group or p.name) for p in good], np.int64)
        return {"gallery": vectors, "names": names}
    roles = [head.roles[role] for role in sorted(head.roles)]
    patches = np.concatenate([patches_of([one[name] for name in roles])[0] for one, _ in found])
    return {"bank": _spread(patches, PATCHES)}


def _spread(patches: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Patches that lie far from each other: the farthest from those chosen comes next (k-centre, greedy)."""
    rng = np.random.default_rng(0)
    if len(patches) > 20_000:
        patches = patches[rng.choice(len(patches), 20_000, replace=False)]
    flat = patches @ rng.normal(size=(patches.shape[1], min(64, patches.shape[1]))).astype(np.float32)
    chosen = [0]
    distance = np.square(flat - flat[0]).sum(axis=1)
    while len(chosen) < min(most, len(patches), max(100, len(patches) // 10)):
        place = int(distance.argmax())
        chosen.append(place)
        distance = np.minimum(distance, np.square(flat - flat[place]).sum(axis=1))
    return patches[chosen]


def _unread(opened: Opened, outputs: dict[str, Array], wishes: Wishes) -> EdgeloopError:
    shapes = ", ".join(f"{name} {values.shape}" for name, values in outputs.items())
    what = f"nobody here can read these outputs{f' as {wishes.task}' if wishes.task else ''}"
    why = shapes
    if len(outputs) == 1:
        only = next(iter(outputs.values()))
        if only.ndim == 3 and only.shape[2] > 40 and bool((np.abs(only.sum(axis=2) - 1) < 0.02).all()):
            why += ": letters in a row, as of a reader of text"
    mend = (
        "export the model with boxes, scores and classes, or with one value for each label; or name --task and --head"
    )
    return EdgeloopError(what, where=str(wishes.model), why=why, mend=mend)


# -- writing -----------------------------------------------------------------------------------------------------------


def _write(
    wishes: Wishes, opened: Opened, candidate: Candidate, look: Look, fit: str, labels: tuple[str, ...],
    arrays: dict[str, NDArray[Any]], good: list[Picture], bad: list[Picture], probes: list[Picture], notes: list[str],
) -> Made:  # fmt: skip
    outputs = dict(Runs(opened, probes[:1], fit).of(look)[0][0])
    rough = draft(opened, look, None, candidate.task, labels, fit, outputs)
    preparation = Preparation(rough, WHOLE)
    manifest = msgspec.structs.replace(
        rough, name=wishes.name, version=wishes.version, head=candidate.head,
        files=rough.files | ({candidate.head.file: rough.files["model.onnx"]} if candidate.head.file else {}),
    )  # fmt: skip
    decoder = Decoder(manifest, arrays)
    seen, cases, latency = _judge(opened, manifest, decoder, preparation, good, bad, probes, wishes)
    manifest = _limits(manifest, seen, arrays, wishes, notes)
    judged = [
        Judged(picture, finding, CRITERIA.judge(finding, manifest), is_bad)
        for picture, is_bad, finding in _findings(manifest, decoder, seen)
    ]
    tensors = [
        Tensor(name=t.name, dtype=t.dtype, shape=_shape([c.outputs[k] for c in cases], k))
        for k, t in enumerate(manifest.outputs)
    ]
    files: dict[str, bytes | Path] = {**opened.files, "golden.npz": golden.encode(cases)}
    if arrays:
        files[candidate.head.file] = _canonical(arrays)
    largest = max(float(np.abs(o).max(initial=0)) for case in cases for o in case.outputs if o.dtype.kind == "f")
    metrics = _metrics(judged) | {"latency_ms": round(1e3 * latency, 3)}
    manifest = msgspec.structs.replace(
        manifest, files=listed(files), outputs=tuple(tensors), metrics=metrics,
        golden=Golden(absolute=max(2e-3, round(2e-5 * largest, 6)), relative=2e-3),
        pictures=usual([m for _, m, is_bad, _, _ in seen if not is_bad]) if good else None,
        provenance=Provenance(code=f"edgeloop model package {wishes.model.name}", tools=versions()),
        card=Card(
            description=wishes.description or candidate.words, licence=wishes.licence or opened.said.get("license", "")
        ),
    )  # fmt: skip
    digest = pack(wishes.out, manifest, files, wishes.key or None)
    _prove(wishes.out)
    return Made(wishes.out, digest, manifest, _told(opened, candidate, look, fit, labels), judged, notes)


CRITERIA: Final = Criteria(frozenset({"good"}))
Seen = tuple[Picture, Any, bool, list[Array], Placement]


def _judge(
    opened: Opened, manifest: Manifest, decoder: Decoder, preparation: Preparation, good: list[Picture],
    bad: list[Picture], probes: list[Picture], wishes: Wishes,
) -> tuple[list[Seen], list[golden.Case], float]:  # fmt: skip
    """What the model gives for each picture; the golden set; s of a run."""
    found: list[Seen] = []
    cases: list[golden.Case] = []
    times = []
    size = int(np.prod(opened.shape)) * np.dtype(opened.dtype).itemsize
    wanted = max(1, min(wishes.golden, GOLDEN_BYTES // max(1, size)))
    pictures = [(p, False) for p in good] + [(p, True) for p in bad] or [(p, False) for p in probes]
    for picture, is_bad in pictures:
        tensor, placement = preparation.fill(Frame("", 0, 0, picture.image, "bgr"), preparation.buffer())
        assert preparation.pixels is not None
        began = time.perf_counter()
        outputs = [np.asarray(o) for o in opened.run(tensor).values()]
        times.append(time.perf_counter() - began)
        decoder(outputs)
        found.append((picture, measure(preparation.pixels), is_bad, outputs, placement))
        if len(cases) < wanted:
            cases.append(golden.Case({opened.name: np.array(tensor).reshape(opened.shape)}, outputs))
    return found, cases, float(np.median(times))


def _findings(manifest: Manifest, decoder: Decoder, seen: list[Seen]) -> list[tuple[Picture, bool, Finding]]:
    return [
        (picture, is_bad, interpret(manifest, outputs, placement, CRITERIA, decoder))
        for picture, _, is_bad, outputs, placement in seen
    ]


def _limits(
    manifest: Manifest, seen: list[Seen], arrays: dict[str, NDArray[Any]], wishes: Wishes, notes: list[str]
) -> Manifest:
    """Threshold and confidence, from pictures where there are some."""
    limit = {"segmentation": 0.001, "detection": 0.5, "keypoints": 0.5, "embedding": 0.6}.get(manifest.task, 0.5)
    decoder = Decoder(manifest, arrays)
    rough = msgspec.structs.replace(manifest, thresholds={"fail": 0.5})
    scores = np.array([finding.score for _, _, finding in _findings(rough, decoder, seen)])
    bad = np.array([is_bad for _, _, is_bad, _, _ in seen])
    enough = bad.sum() >= 5 and (~bad).sum() >= 5 and manifest.task != "embedding"
    confidence = None
    temperature = manifest.calibration.temperature
    if manifest.task == "one_class" and wishes.images is not None:
        healthy = scores[~bad] if not (manifest.head and manifest.head.decoder == "memory_bank") else _held_out(
            manifest, seen, arrays)  # fmt: skip
        spread = float(np.std(healthy)) or 1e-3 * max(1e-3, float(np.abs(healthy).max()))
        limit, temperature = float(healthy.max() + 2 * spread), spread
        if bad.any():
            limit = _between(scores[~bad], scores[bad], limit)
    elif enough and manifest.task != "one_class":
        confidence = platt(scores, bad)
        limit = float(1 / (1 + np.exp(confidence.offset / confidence.slope)))
    elif bad.any() and (~bad).any() and manifest.task != "embedding":
        limit = _between(scores[~bad], scores[bad], limit)
    if wishes.threshold is not None:
        limit, confidence = wishes.threshold, None
    elif not bad.any():
        notes.append(f"no bad pictures were given: the threshold {limit:.4g} is a guess; name some with --bad DIR")
    calibration = msgspec.structs.replace(manifest.calibration, temperature=max(1e-6, temperature))
    return msgspec.structs.replace(
        manifest, thresholds={"fail": round(limit, 6)}, confidence=confidence, calibration=calibration
    )


def _held_out(manifest: Manifest, seen: list[Seen], arrays: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Scores of good pictures against a memory that does not have them: each patch's distance to all but the same."""
    assert manifest.head is not None
    names = [t.name for t in manifest.outputs]
    places = [names.index(manifest.head.roles[role]) for role in sorted(manifest.head.roles)]
    own = [patches_of([outputs[k] for k in places])[0] for _, _, is_bad, outputs, _ in seen if not is_bad]
    if len(own) < 3:
        return np.array([float(nearest(p, arrays["bank"]).max()) for p in own])
    found = []
    for k, patches in enumerate(own[:40]):
        others = [own[j] for j in range(len(own)) if j != k]
        rest = np.concatenate(others)
        found.append(float(nearest(patches, rest[:: max(1, len(rest) // 4000)]).max()))
    return np.array(found)


def _between(good: NDArray[np.float64], bad: NDArray[np.float64], otherwise: float) -> float:
    """Between the two kinds: where the fewest are on the wrong side, midway."""
    edges = np.unique(np.concatenate([good, bad]))
    middles = np.concatenate([[edges[0] - 1e-3], (edges[1:] + edges[:-1]) / 2, [edges[-1] + 1e-3]])
    wrong = [(good >= m).mean() + (bad < m).mean() for m in middles]
    least = np.flatnonzero(np.isclose(wrong, min(wrong)))
    return float(middles[least[len(least) // 2]]) if len(edges) > 1 else otherwise


def platt(scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> Confidence:
    """The chance to be bad by the logit of the score; softened targets, so that a few pictures do not make it certain.

    >>> said = platt(np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9]), np.array([False, False, False, True, True, True]))
    >>> said.slope > 0, abs(said.offset) < 0.5
    (True, True)
    """
    share = np.clip(scores, 1e-4, 1 - 1e-4)
    x = np.log(share / (1 - share))
    positive, negative = int(bad.sum()), int((~bad).sum())
    target = np.where(bad, (positive + 1) / (positive + 2), 1 / (negative + 2))
    a, b = 1.0, 0.0
    for _ in range(4000):
        p = 1 / (1 + np.exp(-np.clip(a * x + b, -40, 40)))
        a += 0.05 * float(((target - p) * x).mean())
        b += 0.05 * float((target - p).mean())
    return Confidence(slope=max(0.05, round(a, 4)), offset=round(b, 4), pictures=len(scores))


def _metrics(judged: list[Judged]) -> dict[str, float]:
    good = [j for j in judged if not j.bad]
    bad = [j for j in judged if j.bad]
    found = {"pictures": float(len(judged))}
    if bad:
        found |= {
            "found": sum(j.verdict == "fail" for j in bad) / len(bad),
            "false_rejects": sum(j.verdict == "fail" for j in good) / max(1, len(good)),
        }
        if good:
            scores = np.array([j.finding.score for j in judged])
            found["auroc"] = area(scores, np.array([j.bad for j in judged]))
    return {name: round(value, 4) for name, value in found.items()}


def _shape(values: list[Array], number: int) -> tuple[int | str, ...]:
    """Extents that all cases share; others have a name. An extent of 0 is one that changes."""
    return tuple(
        extents[0] if len(set(extents)) == 1 and extents[0] > 0 else f"n{number}_{axis}"
        for axis, extents in enumerate(zip(*(v.shape for v in values), strict=True))
    )


def _canonical(arrays: dict[str, NDArray[Any]]) -> bytes:
    """An npz whose bytes follow from its arrays."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
    return buffer.getvalue()


def _prove(path: Path) -> None:
    """A device would take it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        package = unpack(path, Path(folder))
        outcome = Prover().prove(package, package.manifest.variants[0])
    if outcome.error:
        path.unlink(missing_ok=True)
        raise EdgeloopError("a device would not take the package", where=str(path), why=outcome.error)


def _told(
    opened: Opened, candidate: Candidate, look: Look, fit: str, labels: tuple[str, ...]
) -> list[tuple[str, str, str]]:
    names = ", ".join(labels[:6]) + (f", … ({len(labels)})" if len(labels) > 6 else "")
    where = "fixed by the graph" if opened.fixed else "its metadata" if "imgsz" in opened.said else "a guess that runs"
    return [
        ("task", candidate.task, "--task"),
        ("head", f"{candidate.head.decoder}: {candidate.words}", "--head"),
        ("size", f"{opened.width}x{opened.height}, {opened.layout}, {opened.dtype} ({where})", "--size WxH"),
        ("fit", fit, "--fit stretch|letterbox|crop"),
        ("picture", f"{look.colours}, {look.words}", look.options),
        ("labels", names, "--labels FILE"),
    ]
