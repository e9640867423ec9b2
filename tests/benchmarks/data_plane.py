"""Values a second through encode → append → read → decode, beside bare os.write and np.frombuffer of the same bytes.

python tests/benchmarks/data_plane.py
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from edgeloop.journal import START, JournalReader, JournalWriter
from edgeloop.samples import SamplesPublisher, SamplesSubscriber
from edgeloop.wire.batch import Batch, Channel
from edgeloop.wire.codec import encode

ROUNDS = 5
UNSYNCED = 3600.0


@dataclass(frozen=True)
class Case:
    """`ticks` ticks of one batch of (rows, channels) int16 for each of `streams` streams."""

    streams: int
    rows: int
    channels: int
    ticks: int

    def batches(self, epoch: int = 1) -> list[list[Batch]]:
        channels = tuple(Channel(f"c{i}", "m/s2", 0.001) for i in range(self.channels))
        samples = np.random.default_rng(0).integers(-30000, 30000, (self.rows, self.channels)).astype("<i2")
        rate = Fraction(self.rows * 20)
        return [
            [
                Batch(f"machine{s}_vib", epoch, tick * self.rows, tick * 50_000_000, channels, samples, rate)
                for s in range(self.streams)
            ]
            for tick in range(self.ticks)
        ]

    @property
    def values(self) -> int:
        return self.streams * self.rows * self.channels * self.ticks


CASES = {
    "8 streams of 25.6 kHz x 3": Case(8, 1280, 3, 60),
    "1 stream of 25.6 kHz x 3": Case(1, 1280, 3, 480),
    "64 streams of 100 Hz x 4": Case(64, 5, 4, 60),
}


def run() -> dict[str, dict[str, float]]:
    """By case: values/s of each way, and ratios against the bare limit of the same run (1 is the limit itself)."""
    return {name: _measure(case) for name, case in CASES.items()}


def _measure(case: Case) -> dict[str, float]:
    ticks = case.batches()
    joined = [b"".join(part for batch in tick for part in encode(batch)) for tick in ticks]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        bare_write = min(_bare_write(path / "bare", joined) for _ in range(ROUNDS))
        bare_read = min(_bare_read(path / "bare", joined) for _ in range(ROUNDS))
        append = min(_append(path / str(i), ticks) for i in range(ROUNDS))
        read = min(_read(path / "0", case) for _ in range(ROUNDS))
        announce = min(_announce(path / f"announced{i}", ticks) for i in range(ROUNDS))
    bare, whole = bare_write + bare_read, append + read
    batches = case.streams * case.ticks
    return {
        "values_per_s": case.values / whole,
        "bare_values_per_s": case.values / bare,
        "ratio": bare / whole,
        "write_ratio": bare_write / append,
        "read_ratio": bare_read / read,
        "us_per_batch_append": append / batches * 1e6,
        "us_per_batch_read": read / batches * 1e6,
        "us_per_tick_publish_to_subscriber": announce / case.ticks * 1e6,
        "overhead_bytes_per_batch": (sum(map(len, joined)) - 2 * case.values) / batches,
    }


def _bare_write(path: Path, ticks: list[bytes]) -> float:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    start = perf_counter()
    for data in ticks:
        os.write(fd, data)
    seconds = perf_counter() - start
    os.close(fd)
    return seconds


def _bare_read(path: Path, ticks: list[bytes]) -> float:
    fd = os.open(path, os.O_RDONLY)
    start = perf_counter()
    for data in ticks:
        np.frombuffer(os.read(fd, len(data)), "<i2")
    seconds = perf_counter() - start
    os.close(fd)
    return seconds


def _append(directory: Path, ticks: list[list[Batch]]) -> float:
    with JournalWriter(directory, sync_interval=UNSYNCED) as writer:
        start = perf_counter()
        for tick in ticks:
            writer.append(tick)
        return perf_counter() - start


def _read(directory: Path, case: Case) -> float:
    start = perf_counter()
    count = sum(1 for _ in JournalReader(directory, START).read())
    seconds = perf_counter() - start
    assert count == case.streams * case.ticks
    return seconds


def _announce(directory: Path, ticks: list[list[Batch]]) -> float:
    """Encode, append, notice, and what a subscriber does with it; the bus itself left out."""
    with JournalWriter(directory, sync_interval=UNSYNCED) as writer:
        subscriber = SamplesSubscriber(directory)

        def deliver(topic: str, payload: bytes) -> bool:
            subscriber.notice(payload)
            return True

        publisher = SamplesPublisher(deliver, writer)
        start = perf_counter()
        for tick in ticks:
            publisher.tick(tick)
            assert len(subscriber.read(0)) == len(tick)
        return perf_counter() - start


if __name__ == "__main__":
    began = process_time()
    print(json.dumps(run(), indent=2))
    print(f"{process_time() - began:.1f} s of CPU")
