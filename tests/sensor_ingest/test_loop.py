"""The loop alone, in this process: what a bus and a nucleus cannot provoke."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.config.load import convert
from edgeloop.journal import START, JournalReader, directory
from edgeloop.sequence import Samples, Stream
from edgeloop.wire.batch import Batch, Channel
from sensor_ingest import ingest as loop
from sensor_ingest import lineup
from sensor_ingest.configuration import Configuration
from sensor_ingest.ingest import Ingest
from sensor_ingest.sources import Registry
from sensor_ingest.sources.base import Source, SourceConfiguration


class Odd(Source[SourceConfiguration]):
    """Puts what it is told to, then waits."""

    puts: tuple[Samples, ...] = ()

    def setup(self) -> None:
        self.outlet.declare(Stream(self.outlet.id, (Channel("a"),), Fraction(1000)))

    def run(self) -> None:
        for samples in self.puts:
            self.outlet.put(samples)
        self.outlet.stop.wait()


class Failing(Odd):
    def run(self) -> None:
        raise ZeroDivisionError("a bug in a driver")


class Types(Registry):
    """The real types, and two more."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._types |= {"odd": Odd, "failing": Failing}


class Recorder:
    """As much of a component as the loop uses."""

    def __init__(self, root: Path, sources: Mapping[str, Any]) -> None:
        self.root, self.work = root, root / "work" / "ingest"
        self.work.mkdir(parents=True)
        self.config = convert({"tick": "5 ms", "sources": sources}, Configuration)
        self.health = self.log = self.bus = self
        self.problems: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.exceptions: list[Exception] = []
        self.published: list[str] = []

    def problem(self, key: str, line: str | None) -> None:
        if line is None:
            self.clear(key)
        else:
            self.problems[key] = line

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def info(self, message: str, *arguments: object, **fields: object) -> None: ...

    error = info

    def exception(self, error: Exception) -> None:
        self.exceptions.append(error)

    def publish(self, topic: str, payload: bytes) -> bool:
        self.published.append(topic)
        return True

    def publish_document(self, topic: str, document: Mapping[str, Any]) -> bool:
        return self.publish(topic, b"")

    def batches(self) -> list[Batch]:
        return [i for i, _ in JournalReader(directory(self.root), START).read() if isinstance(i, Batch)]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Recorder, Ingest]]:
    monkeypatch.setattr(lineup, "Registry", Types)
    app = Recorder(tmp_path, {"good": {"type": "odd"}, "bad": {"type": "failing"}})
    with Ingest(app) as ingest:  # type: ignore[arg-type]
        ingest.apply(app.config)
        yield app, ingest


def samples(dtype: str, columns: int = 1, at: int = 0) -> Samples:
    return Samples("good", np.ones((10, columns), dtype), time=at)


def until(ingest: Ingest, true: Any) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        ingest.tick()
        if true():
            return
        ingest.rest(threading.Event())
    raise AssertionError("not within 120 s")


def test_samples_that_cannot_travel_are_dropped_alone(
    made: tuple[Recorder, Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ingest = made
    good = samples("float32"), samples("float32", at=10_000_000)
    monkeypatch.setattr(Odd, "puts", (good[0], samples("complex64", at=10_000_000), samples("float32", 3), good[1]))
    until(ingest, lambda: sum(map(len, app.batches())) == 20)
    assert app.counts["dropped.good"] >= 10
    assert "queue.good" in app.problems
    assert "journal" not in app.problems


def test_a_bug_in_a_source_is_its_own_affair(made: tuple[Recorder, Ingest], monkeypatch: pytest.MonkeyPatch) -> None:
    app, ingest = made
    monkeypatch.setattr(Odd, "puts", (samples("int16"),))
    until(ingest, lambda: app.batches() and "source.bad" in app.problems)
    assert app.problems["source.bad"] == "the source bad failed unexpectedly: ZeroDivisionError: a bug in a driver"
    assert isinstance(app.exceptions[0], ZeroDivisionError)


def test_a_journal_that_cannot_be_used_is_tried_again(
    made: tuple[Recorder, Ingest], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, ingest = made
    monkeypatch.setattr(Odd, "puts", (samples("int16"),))
    monkeypatch.setattr(loop, "RETRY", 0.05)
    place = directory(app.root)
    place.parent.mkdir(parents=True)
    place.write_text("a file where a folder should be")
    until(ingest, lambda: "journal" in app.problems)
    assert app.published == []
    place.unlink()
    until(ingest, lambda: app.batches() and "journal" not in app.problems)


def test_a_changed_journal_is_a_new_epoch(made: tuple[Recorder, Ingest], monkeypatch: pytest.MonkeyPatch) -> None:
    app, ingest = made
    monkeypatch.setattr(Odd, "puts", (samples("int16"),))
    until(ingest, lambda: len(app.batches()) == 1)
    changed = {"tick": "5 ms", "journal": {"segment": "1 MiB"}, "sources": {"good": {"type": "odd", "queue": "1 MiB"}}}
    ingest.apply(convert(changed, Configuration))
    until(ingest, lambda: len(app.batches()) == 2)
    first, second = app.batches()
    assert second.epoch != first.epoch
    assert second.previous == (first.epoch, 9)


def test_it_ends_in_order_without_a_journal(made: tuple[Recorder, Ingest], monkeypatch: pytest.MonkeyPatch) -> None:
    app, ingest = made
    monkeypatch.setattr(Odd, "puts", (samples("int16"),))
    place = directory(app.root)
    place.parent.mkdir(parents=True)
    place.write_text("a file where a folder should be")
    until(ingest, lambda: "journal" in app.problems and "source.bad" in app.problems)
