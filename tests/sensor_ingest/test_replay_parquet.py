from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from edgeloop.clock import NS
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Samples, Sequencer
from edgeloop.wire.batch import Batch, Channel, Clock
from sensor_ingest.rehearsal import Rehearsal, play
from sensor_ingest.sources.replay import SOURCE, _due
from stream_upload import parquet

START = 1_700_000_000 * NS


def replay(path: Path, **options: Any) -> Rehearsal:
    outlet = Rehearsal("v", path.parent)
    play(SOURCE, outlet, type="replay", path=str(path), **{"speed": "max", **options})
    return outlet


def test_what_was_uploaded_comes_back_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    samples = rng.integers(-3000, 3000, (30_000, 2)).astype(np.int16)
    channels = (Channel("x", "m/s2", 0.5), Channel("time", "V"))
    rate = Fraction(25_600)
    one = Batch("vib", 7, 0, START, channels, samples[:20_000], rate=rate, clock=Clock("ntp"))
    two = Batch("vib", 7, 20_000, START + 5 * NS, channels, samples[20_000:], rate=rate, clock=Clock("ntp"))
    path = tmp_path / "a.parquet"
    parquet.write(path, [one, two], site="s", device="d")
    outlet = replay(path)
    stream = outlet.streams["v"]
    assert stream.rate == rate
    assert [(c.name, c.unit, c.scale) for c in stream.channels] == [("x", "m/s2", 0.5), ("time_", "V", 1.0)]
    assert (outlet.samples() == samples).all()
    sequencer = Sequencer(stream, 1)
    flags = [sequencer.next(c, Clock()).discontinuity for c in outlet.chunks]
    assert sum(flags) == 1
    first = outlet.chunks[0]
    assert isinstance(first, Samples)
    assert first.time == START


def test_a_table_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    times = pa.array([START // 1000, None, START // 1000 + 2, START // 1000 + 1], pa.timestamp("us"))
    columns = {
        "t": times,
        "a": [1, 2, None, 4],
        "on": [True, False, True, True],
        "name": ["x", "y", "z", "w"],
        "label": [0.0] * 4,
    }
    pq.write_table(pa.table(columns), path)
    outlet = replay(path, ignore="label", units={"a": "V"})
    np.testing.assert_array_equal(outlet.samples(), [[1, 1], [np.nan, 1]])
    assert outlet.times() == [START, START + 2000]
    assert outlet.counts == {"bad_rows": 2}
    assert outlet.streams["v"].channels == (Channel("a", "V"), Channel("on"))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(EdgeloopError, match="cannot read the file") as caught:
        replay(path)
    assert "\n" not in str(caught.value)


def test_rows_are_due_to_the_nanosecond_however_long_the_recording() -> None:
    stamps = np.array([0, 1, 3 * 10**17 + 7], dtype=np.int64) + 10**18
    assert _due(stamps, 10**18, 5, Fraction(3)).tolist() == [5, 5, 5 + 10**17 + 2]
    assert _due(stamps, 10**18, 0, Fraction("1.234567")).tolist()[2] == (3 * 10**17 + 7) * 10**6 // 1_234_567
