"""Values a second from source over journal to score: `python tests/benchmarks/pipeline.py`.

Source → journal → notice → subscriber → score in one process, against bare bytes and bare spectra."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.journal import JournalWriter
from edgeloop.samples import SamplesPublisher, SamplesSubscriber
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, Dropped, Item
from edgeloop_tools.bench.suite import show
from edgeloop_tools.demo import plan

SECONDS = 20
ROUNDS = 3
GOAL = 5e6
MACHINES = 2


def run() -> dict[str, Any]:
    """values/s of the whole path and of its parts; `of_bare…` are shares of the bare limit's speed.

    The fastest of ROUNDS. `on_two_cores`: writing beside scoring, as the two components do; the slower counts.
    """
    names = [f"press{n + 1}" for n in range(MACHINES)]
    ticks = made(names)
    figures = max((_round(names, ticks) for _ in range(ROUNDS)), key=lambda f: float(f["values_per_s"]))
    goal = {"goal": "source → journal → score, two cores", "at_least": GOAL, "unit": "values/s"}
    return {"goals": [{**goal, "figure": round(figures["on_two_cores"])}], **figures}


def made(names: list[str]) -> list[list[Item]]:
    """What machines of these names say in SECONDS, tick by tick."""
    return [items for _, items in play([Machine(Spec(n), 7) for n in names], SECONDS * NS)]


def _round(names: list[str], ticks: list[list[Item]]) -> dict[str, Any]:
    from anomaly_inference.configuration import Configuration
    from anomaly_inference.engine import Engine

    values = sum(_values(item) for items in ticks for item in items)
    merge = plan.machines(names, 7).merge()[plan.ANOMALY]
    with tempfile.TemporaryDirectory() as folder:
        bare, spectra = _bare(Path(folder) / "bare", ticks), _spectra(ticks)
        engine = Engine(convert(merge, Configuration))
        notices: list[bytes] = []
        written = read = scored = 0.0
        results = 0
        with JournalWriter(Path(folder) / "journal") as writer:
            publisher = SamplesPublisher(lambda _, payload: _keep(notices, payload), writer)
            subscriber = SamplesSubscriber(writer.directory)
            for items in ticks:
                begun = time.perf_counter()
                publisher.tick(items)
                done = time.perf_counter()
                subscriber.notice(notices[-1])
                got = subscriber.read(timeout=5)
                had = time.perf_counter()
                results += len(engine.process(*got).results)
                written, read = written + done - begun, read + had - done
                scored += time.perf_counter() - had
            subscriber.close()
    whole = written + read + scored
    return {
        "values": values,
        "results": results,
        "values_per_s": values / whole,
        "on_two_cores": values / max(written, read + scored),
        "of_bare": (bare + spectra) / whole,
        "bare_bytes_values_per_s": values / bare,
        "bare_spectra_values_per_s": values / spectra,
        "journal_and_subscribe_of_bare_bytes": bare / (written + read),
        "score_of_bare_spectra": spectra / scored,
        "journal_values_per_s": values / written,
        "subscribe_values_per_s": values / read,
        "score_values_per_s": values / scored,
        "times_real_time": SECONDS / whole,
        "core_percent_at_real_time": 100 * whole / SECONDS,
    }


def _keep(notices: list[bytes], payload: bytes) -> bool:
    notices.append(payload)
    return True


def _values(item: Item) -> int:
    return (
        item.samples.size
        if isinstance(item, Batch)
        else 0
        if isinstance(item, Dropped)
        else len(item) * len(item.columns)
    )


def _bare(path: Path, ticks: list[list[Item]]) -> float:
    """Seconds for one write per tick and one read of it as an array, in physical units."""
    payloads = [b"".join(i.samples.tobytes() for i in items if isinstance(i, Batch)) for items in ticks]
    begun = time.perf_counter()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        at = 0
        for payload in payloads:
            os.write(descriptor, payload)
            back = np.frombuffer(os.pread(descriptor, len(payload), at), dtype=np.uint8)
            at += len(back)
    finally:
        os.close(descriptor)
    return time.perf_counter() - begun


def _spectra(ticks: list[list[Item]]) -> float:
    """Seconds for one windowed FFT of every fast stream in blocks of 200 ms."""
    fast: dict[str, list[Any]] = {}
    for items in ticks:
        for item in items:
            if isinstance(item, Batch) and item.rate is not None and item.rate > 1000:
                fast.setdefault(item.stream, []).append(item.samples)
    begun = time.perf_counter()
    for pieces in fast.values():
        whole = np.concatenate(pieces)
        block = 5120
        taper = np.hanning(block)[:, None]
        for at in range(0, len(whole) - block + 1, block):
            np.abs(np.fft.rfft(whole[at : at + block] * taper, axis=0))
    return time.perf_counter() - begun


if __name__ == "__main__":
    print(show(run()))
