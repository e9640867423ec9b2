"""SensorIngest's own loop as fast as it goes, each tick with samples: growth_process.py ROOT TICKS.

Prints the process's memory (anonymous, resident, kB) after a quarter of the ticks and after all.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from edgeloop.component import App
from edgeloop.sequence import Samples
from edgeloop_tools.harness.growth import anonymous
from sensor_ingest.declaration import DECLARATION
from sensor_ingest.ingest import Ingest

ROWS, RATE = 64, 25_600


def main(root: str, ticks: int) -> None:
    samples = np.zeros((ROWS, 3), "<i2")
    with App.start(DECLARATION, ["--root", root]) as app, app.made(lambda: Ingest(app)) as ingest:
        ingest.apply(app.config)
        ingest.tick()
        (runner,) = ingest._lineup.runners()
        while not ingest._lineup.expects("line"):
            time.sleep(0.05)
            ingest.tick()
        begin = time.time_ns()
        for tick in range(ticks):
            if tick == ticks // 4:
                print("growth", anonymous(), flush=True)
            runner.put(Samples("line", samples, time=begin + tick * ROWS * 10**9 // RATE))
            ingest.tick()
        print("growth", anonymous(), flush=True)
        print("growth", app.health.document()["counters"]["samples.line"])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
