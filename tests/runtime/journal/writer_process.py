"""Forks a writer for every line on standard input: it appends until it is killed, and says what `append` promised."""

from __future__ import annotations

import os
import random
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from edgeloop.journal import JournalWriter
from edgeloop.wire.batch import Batch, Channel

STREAMS = ("press1_vib", "press1_slow", "press2_vib")


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write(directory: Path, seed: int) -> None:
    chance = random.Random(seed)
    with JournalWriter(directory, segment_bytes=64 << 10, budget_bytes=1 << 30, sync_interval=0.01) as writer:
        indexes = dict.fromkeys(STREAMS, 0)
        while True:
            items = []
            for stream in STREAMS:
                rows = chance.choice((1, 7, 100, 2000))
                index = indexes[stream]
                samples = np.arange(index, index + rows, dtype="<i4").reshape(rows, 1)
                previous = None if index else writer.previous(stream)
                items.append(
                    Batch(stream, writer.epoch, index, 0, (Channel("x"),), samples, Fraction(1000), previous=previous)
                )
                indexes[stream] += rows
            span = writer.append(items)
            say("promised", span.segment, span.start, span.end, writer.epoch, *indexes.values())


def main() -> None:
    directory = Path(sys.argv[1])
    for seed, _ in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            say("writer", os.getpid())
            write(directory, seed)
        os.waitpid(child, 0)
        say("dead")


if __name__ == "__main__":
    main()
