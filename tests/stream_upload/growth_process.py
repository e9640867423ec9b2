"""StreamUpload's own passes as fast as they go, each with samples, a second apart: growth_process.py ROOT PASSES.

Prints the process's memory (anonymous, resident, kB) after a quarter of the passes and after all, then what arrived.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import deque
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgeloop.config.load import convert
from edgeloop.journal import JournalWriter, directory
from edgeloop.wire.batch import Batch, Channel, Clock
from edgeloop_tools.harness.growth import anonymous
from stream_upload.configuration import Configuration
from stream_upload.declaration import NAME
from stream_upload.uploader import Uploader

spec = importlib.util.spec_from_file_location("wear", Path(__file__).parents[1] / "benchmarks" / "wear.py")
assert spec is not None
assert spec.loader is not None
wear: Any = importlib.util.module_from_spec(spec)
sys.modules["wear"] = wear
spec.loader.exec_module(wear)
ROWS, NS = 10, 10**9


class Tail:
    """A stream of which Stream Manager keeps the newest."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque(maxlen=600)
        self._count = 0

    def append(self, data: bytes) -> None:
        self._kept.append(data)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, wanted: slice) -> list[bytes]:
        return list(islice(self._kept, max(0, wanted.start - self._count + len(self._kept)), None))


class Cloud(wear._Cloud):  # type: ignore[misc]
    def create_message_stream(self, definition: Any) -> None:
        super().create_message_stream(definition)
        self._streams[definition.name] = Tail()


def main(root: Path, passes: int) -> None:
    moved = wear.Moved()
    channels, noise = (Channel("x"),), np.random.default_rng(1).normal(0, 99, (ROWS * 257, 1)).astype("<i2")
    app = wear._app(root, NAME, convert({"bucket": "bucket", "every": "60 s"}, Configuration))
    with (
        moved.taken(), Uploader(app, Cloud) as uploader,
        JournalWriter(directory(root), epoch=1, budget_bytes=8 << 20, segment_bytes=1 << 20) as writer,
    ):  # fmt: skip
        for number in range(passes):
            if number == passes // 4:
                print("growth", anonymous(), flush=True)
            moved.now += NS
            at = number % 257 * ROWS
            time = wear.BEGAN + number * NS
            writer.append(
                [Batch("slow", 1, number * ROWS, time, channels, noise[at : at + ROWS], rate=Fraction(ROWS),
                       clock=Clock("ntp"))]
            )  # fmt: skip
            uploader.step()
        print("growth", anonymous(), flush=True)
        print("growth", int(uploader._state.objects), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
