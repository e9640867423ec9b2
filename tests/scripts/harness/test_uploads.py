"""What was uploaded, held against the journal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.journal import JournalWriter
from edgeloop.layout import raw_key
from edgeloop.sim.machine import Machine
from edgeloop.sim.play import play
from edgeloop.sim.spec import Spec
from edgeloop.wire.batch import Batch, RecordBatch
from edgeloop_tools.harness.ledger import audit, walk
from edgeloop_tools.harness.uploads import Arrived, Comparison
from stream_upload import parquet

NS = 1_000_000_000
BEGAN = 1_700_000_000 * NS
SECONDS = 3


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant") / "journal"
    with JournalWriter(folder) as writer:
        for _, items in play([Machine(Spec("press1"), 7, ())], SECONDS * NS, began=BEGAN, epoch=writer.epoch):
            writer.append(items)
    return folder


def batches(journal: Path) -> Iterator[Batch | RecordBatch]:
    return (item for item in walk(journal) if isinstance(item, Batch | RecordBatch))


def upload(journal: Path, folder: Path, stream: str, *, change: bool = False) -> Arrived:
    items: list[Any] = [item for item in batches(journal) if item.stream == stream]
    if change:
        raw = np.array(items[0].samples)
        raw[0, 0] += 1
        object.__setattr__(items[0], "samples", raw)
    first, last = items[0].index, items[-1].index + len(items[-1]) - 1
    path = folder / raw_key("demo", stream, "2023-11-14", "synced", "core", items[0].epoch, first, last)
    path.parent.mkdir(parents=True)
    parquet.write(path, items, site="demo", device="core")
    return Arrived(folder)


@pytest.mark.parametrize("stream", ["press1_vib", "press1_slow", "press1_plc"])
def test_what_arrived_is_as_it_was_journalled(journal: Path, tmp_path: Path, stream: str) -> None:
    comparison = Comparison(upload(journal, tmp_path, stream))
    audit(journal, comparison.add)
    assert set(comparison.samples) == {stream}
    assert comparison.samples[stream] == comparison.equal[stream] > 0
    assert comparison.different == 0


@pytest.mark.parametrize("stream", ["press1_vib", "press1_slow"])
def test_one_wrong_sample_is_seen(journal: Path, tmp_path: Path, stream: str) -> None:
    comparison = Comparison(upload(journal, tmp_path, stream, change=True))
    audit(journal, comparison.add)
    assert comparison.different == 1


def test_nothing_uploaded_is_nothing_read_back(journal: Path, tmp_path: Path) -> None:
    comparison = Comparison(Arrived(tmp_path))
    audit(journal, comparison.add)
    assert comparison.samples == {}
