"""AnomalyInference's own loop as fast as it goes, each tick with samples: growth_process.py ROOT TICKS.

Prints the process's memory (anonymous, resident, kB) after a quarter of the ticks and after all, then its results.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import numpy as np

from anomaly_inference.declaration import DECLARATION
from anomaly_inference.service import Service
from edgeloop.component import App
from edgeloop.journal import JournalWriter, directory
from edgeloop.samples import SamplesPublisher
from edgeloop.wire.batch import Batch, Channel, Clock
from edgeloop_tools.harness.growth import anonymous

ROWS, RATE = 64, 2_560


def main(root: str, ticks: int) -> None:
    noise = np.random.default_rng(7).integers(-3000, 3000, (257 * ROWS, 3)).astype("<i2")
    channels = tuple(Channel(axis, "m/s2", 0.0049) for axis in "xyz")
    begin = time.time_ns() - ticks * ROWS * 10**9 // RATE
    results = 0
    with App.start(DECLARATION, ["--root", root]) as app:
        service = app.made(lambda: Service(app))

        def notice(topic: str, payload: bytes) -> bool:
            service._noticed(topic, payload)
            return True

        with JournalWriter(directory(app.root), segment_bytes=1 << 20, budget_bytes=8 << 20) as writer:
            publisher = SamplesPublisher(notice, writer)
            for tick in range(ticks):
                if tick == ticks // 4:
                    print("growth", anonymous(), flush=True)
                at, index = tick % 257 * ROWS, tick * ROWS
                time_ns = begin + index * 10**9 // RATE
                publisher.tick(
                    [Batch("vib", writer.epoch, index, time_ns, channels, noise[at : at + ROWS], rate=Fraction(RATE),
                           clock=Clock("ntp"))]
                )  # fmt: skip
                outcome = service.infer(0)
                results += len(outcome.results)
                service.publish(outcome)
            print("growth", anonymous(), flush=True)
        service.close()
    print("growth", results)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
