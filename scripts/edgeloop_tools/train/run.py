"""From samples to a package."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeloop.alarms.labels import Label
from edgeloop.clock import NS
from edgeloop.config.identifiers import is_id
from edgeloop.errors import EdgeloopError
from edgeloop.models.calibration import calibrate
from edgeloop_tools.train import marks
from edgeloop_tools.train.learn import learn
from edgeloop_tools.train.measure import measure
from edgeloop_tools.train.network import Front, network, outputs
from edgeloop_tools.train.options import Options
from edgeloop_tools.train.package import Trained, write
from edgeloop_tools.train.recording import Recording, checked, fitted
from edgeloop_tools.train.source import recordings
from edgeloop_tools.train.windows import Shape, Windows, shape, split, windows

SAMPLED = 2_000
"""Windows that tell how far a channel spreads."""


def run(options: Options) -> Trained:
    """Trains, measures, writes and proves; prints metrics as `name=value;`. Raises EdgeloopError."""
    name = options.name or _name(options)
    labels = marks.read(options.labels, options.stream) if options.labels else []
    found = _read(options, options.input)
    rate = float(f"{NS / found[0].step:.6g}")
    form = shape(rate, options.window, options.hop)
    _say(options, f"{sum(map(len, found)):,} rows of {', '.join(found[0].channels)} at {rate:g} Hz; windows of "
                  f"{form.rows} samples ({form.length:.4g} s) every {form.step:.4g} s")  # fmt: skip
    parts = split(windows(found, form, labels), _validation(options, found, form, labels))
    _say(options, f"{len(parts.train)} windows to learn from, {len(parts.calibrate)} to calibrate on, "
                  f"{len(parts.healthy)} healthy and {len(parts.faulty)} faulty ones to measure on")  # fmt: skip
    values = np.concatenate(list(parts.train.few(SAMPLED).chunks(SAMPLED)))
    front = Front.fit(form.rows, values.reshape(-1, values.shape[2]))
    features = outputs(front.model(), parts.train, options.threads)
    normal = learn(features, options.method, options.seed, options.epochs, lambda n, loss: _epoch(options, n, loss))
    many = network(front, normal, name, "n")
    scored = [outputs(many, part, options.threads) for part in (parts.calibrate, parts.healthy)]
    bad = outputs(many, parts.faulty, options.threads) if len(parts.faulty) else np.zeros(0, np.float32)
    calibration = calibrate(scored[0], form.step)
    metrics = measure((parts.healthy, scored[1]), (parts.faulty, bad), calibration, labels, options.budget)
    trained = write(options, name, network(front, normal, name), parts, calibration, metrics, found)
    _report(options, trained)
    return trained


def _read(options: Options, source: str) -> list[Recording]:
    """Those that there are, checked, with notes of what was left out."""
    found = recordings(
        source, stream=options.stream, start=options.start, end=options.end, table=options.table
    )  # fmt: skip
    for recording in found:
        for note in recording.notes:
            _say(options, note)
    good, notes = checked(fitted(found, options.channels))
    for note in notes:
        print(f"edgeloop: {note}", file=sys.stderr)
    return good


def _validation(options: Options, found: Sequence[Recording], form: Shape, labels: Sequence[Label]) -> Windows | None:
    if not options.validation:
        return None
    other = _read(replace(options, channels=found[0].channels, start=None, end=None), options.validation)
    if not 0.99 < other[0].step / found[0].step < 1.01:
        why = f"{NS / other[0].step:.6g} Hz, {found[0].where} has {form.rate:g} Hz"
        raise EdgeloopError("rates differ", where=other[0].where, why=why, mend="validate on data of the same rate")
    return windows(other, form, labels)


def _name(options: Options) -> str:
    """Of the stream, or of the file or folder; as an id."""
    base = options.stream or Path(options.input.rstrip("/")).stem
    name = re.sub(r"[^a-z0-9_-]+", "-", base.lower()).strip("-_")[:32]
    return name if is_id(name) else "timeseries"


def _say(options: Options, line: str) -> None:
    if not options.json:
        print(line, flush=True)


def _epoch(options: Options, number: int, loss: float) -> None:
    if number % 10 == 0 or number == options.epochs:
        _say(options, f"epoch={number}; loss={loss:.5g};")


def _report(options: Options, trained: Trained) -> None:
    manifest = trained.manifest
    document = {
        "package": str(trained.path), "digest": trained.digest, "name": manifest.name, "version": manifest.version,
        "metrics": manifest.metrics, "latency_ms": round(1000 * trained.proof.latency, 3),
    }  # fmt: skip
    if options.data_dir is not None:
        path = options.data_dir / "metrics.json"
        try:
            options.data_dir.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise EdgeloopError("cannot write the metrics", where=str(path), why=error.strerror or str(error),
                                mend="name another --output-data-dir") from None  # fmt: skip
    if options.json:
        print(json.dumps(document))
        return
    for name, value in manifest.metrics.items():
        print(f"{name}={value:g};")
    size = trained.path.stat().st_size
    print(f"{trained.path} {size:,} B, digest {trained.digest[:12]}: proven, {document['latency_ms']} ms a window")
