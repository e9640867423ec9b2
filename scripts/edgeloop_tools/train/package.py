"""The package: golden set, statistics, manifest, card; and the proof that a device will take it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from edgeloop.clock import rfc3339
from edgeloop.errors import EdgeloopError
from edgeloop.models import golden
from edgeloop.models.calibration import level
from edgeloop.models.drift import usual
from edgeloop.models.graph import run, versions
from edgeloop.models.manifest import (
    Calibration,
    Card,
    Golden,
    Manifest,
    Provenance,
    Statistics,
    Tensor,
    Variant,
    Window,
)  # fmt: skip
from edgeloop.models.package import listed, pack, unpack
from edgeloop.models.proof import Prover
from edgeloop.models.trial import Outcome
from edgeloop_tools.train.network import Floats
from edgeloop_tools.train.options import Options
from edgeloop_tools.train.recording import Recording, digest
from edgeloop_tools.train.windows import Parts

CASES: Final = 4
"""Healthy windows of the golden set; as many changed ones, and the faulty ones there are."""
STRANGE: Final = 6.0
"""Spreads that a channel of a changed window is off."""
STEPS: Final = 20
"""Between the quantiles of a channel, of equal probability."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of it. path: the archive."""

    path: Path
    digest: str
    manifest: Manifest
    proof: Outcome


def write(
    options: Options, name: str, model: bytes, parts: Parts, calibration: Calibration,
    metrics: dict[str, float], recordings: Sequence[Recording],
) -> Trained:  # fmt: skip
    """Writes and proves the package. Raises EdgeloopError where the model does not give what it gave here."""
    form = parts.train.shape
    chosen = [w[None] for w in _cases(parts)]
    cases = [golden.Case({"window": w}, list(o)) for w, o in zip(chosen, run(model, chosen), strict=True)]
    files: dict[str, bytes | Path] = {"model.onnx": model, "golden.npz": golden.encode(cases)}
    channels, units = recordings[0].channels, recordings[0].units
    known = any(units)
    manifest = Manifest(
        schema=1, name=name, version=options.version, task="anomaly", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="window", dtype="float32", shape=(1, form.rows, len(channels))),),
        outputs=(Tensor(name="score", dtype="float32", shape=(1,)),),
        golden=Golden(absolute=2e-3, relative=1e-3),
        preprocessing=(
            Window(
                input="window", samples=form.rows, channels=channels, rate=form.rate, hop=form.hop,
                units=units if known else (), statistics=statistics(parts),
            ),
        ),
        labels=("healthy", "anomaly"),
        thresholds={"alarm": round(level(options.budget, calibration), 5)},
        calibration=calibration,
        metrics=metrics,
        provenance=_provenance(options, recordings, parts),
        card=_card(options, parts, metrics),
    )  # fmt: skip
    path = options.model_dir / f"{name}-{options.version}.tar"
    try:
        options.model_dir.mkdir(parents=True, exist_ok=True)
        found = pack(path, manifest, files)
    except OSError as error:
        raise EdgeloopError("cannot write the package", where=str(path), why=error.strerror or str(error),
                            mend="name another --model-dir") from None  # fmt: skip
    return Trained(path, found, manifest, prove(path))


def prove(path: Path) -> Outcome:
    """As a device does it: unpacked, loaded in a process of its own, its golden set tried."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-train-") as folder:
        package = unpack(path, Path(folder))
        outcome = Prover().prove(package, package.manifest.variants[0])
    if outcome.error:
        raise EdgeloopError("the package does not pass its own golden set", where=str(path), why=outcome.error,
                            mend="report it with the data")  # fmt: skip
    return outcome


def statistics(parts: Parts) -> tuple[Statistics, ...]:
    """Of the values that the model learned from, by channel, and how far later healthy ones stray from them."""
    values = np.concatenate([chunk.reshape(-1, chunk.shape[2]) for chunk in parts.train.chunks(1024)]).astype(
        np.float64
    )
    quantiles = np.quantile(values, np.linspace(0, 1, STEPS + 1), axis=0)
    new = min(parts.train.shape.hop, parts.train.shape.rows)
    result = []
    for i, name in enumerate(parts.train.recordings[0].channels):
        known = Statistics(
            mean=_short(values[:, i].mean()), deviation=_short(values[:, i].std()),
            quantiles=tuple(_short(q) for q in quantiles[:, i]),
        )  # fmt: skip
        later = [c[:, :new, i].ravel() for part in (parts.calibrate, parts.healthy) for c in part.chunks(1024)]
        result.append(msgspec.structs.replace(known, usual=_short(usual(name, known, np.concatenate(later)))))
    return tuple(result)


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _cases(parts: Parts) -> list[Floats]:
    """Windows (rows, channels): healthy ones, the same with one channel off, faulty ones."""
    good = [w for chunk in parts.healthy.few(CASES).chunks(CASES) for w in chunk]
    spread = np.concatenate(list(parts.train.few(200).chunks(200))).std(axis=(0, 1))
    changed = []
    for number, window in enumerate(good):
        channel = number % window.shape[1]
        other = window.copy()
        other[len(other) // 2 :, channel] += np.float32(STRANGE * spread[channel])
        changed.append(other)
    bad = [w for chunk in parts.faulty.few(CASES).chunks(CASES) for w in chunk]
    return [*good, *changed, *bad]


def _provenance(options: Options, recordings: Sequence[Recording], parts: Parts) -> Provenance:
    rows = sum(len(r) for r in recordings)
    first, last = min(int(r.times[0]) for r in recordings), max(int(r.times[-1]) for r in recordings)
    stream = f" of stream {options.stream}" if options.stream else ""
    data = (
        f"sha256:{digest(recordings)}, {rows} rows of {len(recordings)} recordings{stream}, {rfc3339(first)} to "
        f"{rfc3339(last)}; learned from "
        f"{len(parts.train)} windows until {rfc3339(int(parts.train.last[-1]))}, calibrated on "
        f"{len(parts.calibrate)}, measured on {len(parts.healthy)} healthy and {len(parts.faulty)} faulty ones"
    )
    code = f"edgeloop train timeseries --method {options.method}"
    return Provenance(code=code, data=data, seed=options.seed, tools=versions())


def _card(options: Options, parts: Parts, metrics: dict[str, float]) -> Card:
    form = parts.train.shape
    channels = ", ".join(parts.train.recordings[0].channels)
    hours = metrics["healthy_hours"]
    return Card(
        description=f"How unlike the healthy machine of its training {form.length:.4g} s of {channels} at "
        f"{form.rate:g} Hz are, every {form.step:.4g} s.",
        use="Beside the streaming detectors of a monitor, as `models` of AnomalyInference, on the same machine and "
        "channels.",
        limits=f"It knows the states that were in its data and takes others for abnormal. Calibrated on "
        f"{parts.calibrate.seconds / 3600:.3g} h and measured on {hours:.3g} h of healthy data that it did not learn "
        "from: return times beyond those are extrapolated. Faults that were in the healthy data are normal to it.",
    )
