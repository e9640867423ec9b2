"""Bus messages a second as streams and rates grow: `python tests/benchmarks/traffic.py`.

Notices on a real bus: what streams and rates cost the nucleus, and what one message a batch would cost."""

from __future__ import annotations

import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop import topics
from edgeloop.bus import Bus
from edgeloop.clock import now
from edgeloop.journal import JournalWriter
from edgeloop.samples import SamplesPublisher
from edgeloop.sequence import Samples, Sequencer, Stream
from edgeloop.wire.batch import Channel, Clock
from edgeloop_tools.bench.suite import show
from edgeloop_tools.core.daemon import start

GRID = ((1, 10), (1, 1_000), (1, 25_600), (8, 10), (8, 1_000), (8, 25_600), (64, 10), (64, 1_000))
SECONDS = 2.0
TICKS = {0.05: 50, 0.015: 90}
"""s, and messages a second that are allowed at it."""


def run() -> dict[str, Any]:
    """Rows of tick (s), streams, rate (Hz), values_per_s, messages_per_s, and batches_per_s (one message a batch)."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="edgeloop-") as folder:
        Path(folder).chmod(0o711)
        core = start(Path(folder) / "core")
        try:
            socket, token = core.observer()
            for tick in TICKS:
                for streams, rate in GRID:
                    journal = Path(folder) / f"journal-{tick}-{streams}-{rate}"
                    rows.append(_row(socket, token, journal, streams, rate, tick))
        finally:
            core.stop()
    most = {tick: max(r["messages_per_s"] for r in rows if r["tick_s"] == tick) for tick in TICKS}
    goals = [
        {"goal": f"notices on the bus, tick {1000 * tick:g} ms, any rates and streams", "at_most": allowed,
         "unit": "messages/s", "figure": round(most[tick], 1)}
        for tick, allowed in TICKS.items()
    ]  # fmt: skip
    return {"goals": goals, "rows": rows}


def _row(socket: Path, token: str, journal: Path, streams: int, rate: int, tick: float) -> dict[str, Any]:
    width = 3 if rate > 1000 else 1
    channels = tuple(Channel(f"c{n}") for n in range(width))
    block = np.zeros((rate, width), dtype=np.int16)
    clock = Clock()
    received: list[int] = []
    batches = values = 0
    with Bus(socket=socket, token=token) as bus, JournalWriter(journal) as writer:
        bus.subscribe(topics.SAMPLES, lambda _, payload: received.append(len(payload)))
        publisher = SamplesPublisher(bus.publish, writer)
        sequencers = [
            Sequencer(Stream(f"s{n}", channels, Fraction(rate)), writer.epoch) for n in range(streams)
        ]  # fmt: skip
        bus.wait_connected(10)
        begun, done = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < SECONDS:
            due = int(passed * rate)
            if due > done:
                piece, at = block[: due - done], now()
                items = [s.next(Samples(s.stream.name, piece, at), clock) for s in sequencers]
                publisher.tick(items)
                batches, values = batches + len(items), values + piece.size * len(items)
                done = due
            time.sleep(max(0.0, tick - (time.monotonic() - begun) % tick))
        bus.flush(2)
        seconds = time.monotonic() - begun
        time.sleep(0.2)
    return {
        "tick_s": tick,
        "streams": streams,
        "rate": rate,
        "values_per_s": values / seconds,
        "messages_per_s": len(received) / seconds,
        "batches_per_s": batches / seconds,
        "bytes_per_message": sum(received) / max(1, len(received)),
    }


if __name__ == "__main__":
    print(show(run()))
