"""The promise: what append returned for survives kill -9 at any instant."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np

import edgeloop
from edgeloop.journal import JournalReader, JournalWriter
from edgeloop.journal.segment import epoch, segments, sequence
from edgeloop.wire.batch import Batch
from edgeloop.wire.codec import decode

KILLS = 60
LIBRARY = str(Path(edgeloop.__file__).parents[1])


def test_sixty_kills_lose_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    chance = random.Random(20)
    promises: list[list[str]] = []
    started = 0
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("writer_process.py")), str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONPATH": LIBRARY},
    ) as factory:
        assert factory.stdin
        assert factory.stdout
        for _ in range(KILLS):
            factory.stdin.write("\n")
            said, pid = factory.stdout.readline().split()
            assert said == "writer"
            if chance.random() < 0.7:
                promises.append(factory.stdout.readline().split()[1:])
                started += 1
            killer = threading.Timer(chance.choice((0.0, 0.01, 0.05)) * chance.random(), os.kill, (int(pid), 9))
            killer.start()
            while (line := factory.stdout.readline().split())[0] != "dead":
                assert line[0] == "promised"
                promises.append(line[1:])
            killer.join()
        factory.stdin.close()
        factory.wait(60)

    JournalWriter(directory).close()

    assert len(promises) > started
    for segment, start, end, promised_epoch, *indexes in promises:
        data = (directory / segment).read_bytes()[int(start) : int(end)]
        offset = 0
        for next_index in map(int, indexes):
            item, offset = decode(data, offset)
            assert isinstance(item, Batch)
            assert (item.epoch, item.index + len(item)) == (int(promised_epoch), next_index)
        assert offset == len(data)

    reader = JournalReader(directory)
    ends: dict[str, tuple[int, int]] = {}
    for item, _ in reader.read():
        assert isinstance(item, Batch)
        last_epoch, last = ends.get(item.stream, (0, -1))
        if item.epoch == last_epoch:
            assert item.index == last + 1
        else:
            assert item.index == 0
            assert item.previous == ((last_epoch, last) if last_epoch else None)
        assert np.array_equal(item.samples[:, 0], np.arange(item.index, item.index + len(item)))
        ends[item.stream] = (item.epoch, item.index + len(item) - 1)
    assert reader.gaps == 0

    names = segments(directory)
    assert [sequence(name) for name in names] == [*range(1, len(names) + 1)]
    epochs = [epoch(name) for name in names]
    assert len({*epochs}) == 1 + sum(a != b for a, b in pairwise(epochs)), "no epoch comes back"
    assert len({*epochs}) >= started > KILLS // 2
