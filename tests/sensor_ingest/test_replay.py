from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop import clock, durable
from edgeloop.clock import NS
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop.tables import Options, Table, times
from sensor_ingest.rehearsal import Rehearsal, Running, play
from sensor_ingest.sources.replay import SOURCE, State

SHARED = Path(__file__).parents[3] / "shared" / "data"
RECORDINGS = [
    *sorted((SHARED / "skab" / "data" / "valve1").glob("*.csv"))[:2],
    *sorted((SHARED / "nab" / "data" / "realKnownCause").glob("*.csv"))[:2],
]


def write(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def replay(folder: Path, text: str, **options: object) -> Rehearsal:
    outlet = Rehearsal("valve", folder)
    play(SOURCE, outlet, type="replay", path=str(write(folder, text)), **{"speed": "max", **options})
    return outlet


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    rows = [["datetime", "a", "b"], ["2020-03-09 10:34:33", "1.5", "2"], ["2020-03-09 10:34:34", "-3", "4e2"]]
    outlet = replay(tmp_path, "\n".join(separator.join(r) for r in rows))
    assert [c.name for c in outlet.streams["valve"].channels] == ["a", "b"]
    assert outlet.samples().tolist() == [[1.5, 2], [-3, 400]]
    assert np.diff(outlet.times()).tolist() == [NS]


def test_a_decimal_comma_is_read_where_the_separator_is_another(tmp_path: Path) -> None:
    assert replay(tmp_path, "time;a\n31.12.2024 10:00:00;1,5\n31.12.2024 10:00:01;2\n").samples().tolist() == [
        [1.5],
        [2],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-06T07:08:09Z", "2024-05-06 07:08:09", "2024-05-06T09:08:09+02:00", "2024-05-06 07:08:09.000",
        "06.05.2024 07:08:09", "2024/05/06 07:08:09", "1714979289", "1714979289.0", "1714979289000",
        "1714979289000000000",
        "20240506T070809",
    ],
)  # fmt: skip
def test_times_are_read_as_they_are_written(text: str) -> None:
    parse = times.recognise([text])
    assert parse is not None
    assert parse(text) == 1_714_979_289 * NS


@given(st.integers(0, 4_000_000_000 * NS))
def test_rfc_3339_is_read_to_the_nanosecond(ns: int) -> None:
    assert times.iso(clock.rfc3339(ns)) == ns


def test_a_recording_in_seconds_from_its_start(tmp_path: Path) -> None:
    assert replay(tmp_path, "t,a\n0,1\n0.1,2\n0.2,3\n").times() == [0, NS // 10, NS // 5]


def test_a_form_may_be_given(tmp_path: Path) -> None:
    outlet = replay(tmp_path, "when,a\n2024|01|02,5\n2024|01|03,6\n", time="when", form="%Y|%m|%d")
    assert np.diff(outlet.times()).tolist() == [86_400 * NS]


def test_labels_are_ignored_and_missing_values_are_nan(tmp_path: Path) -> None:
    text = "time,a,anomaly,note\n2024-01-01 00:00:00,1,0,ok\n2024-01-01 00:00:01,,1,bad\n2024-01-01 00:00:02,NaN,1,x\n"
    outlet = replay(tmp_path, text, ignore="anomaly changepoint", units={"a": "bar"})
    assert [(c.name, c.unit) for c in outlet.streams["valve"].channels] == [("a", "bar")]
    assert [math.isnan(v) for v in outlet.samples()[:, 0]] == [False, True, True]
    assert any("'note' has no numbers" in line for line in outlet.lines)
    assert any("'changepoint' is not in the file" in line for line in outlet.lines)


def test_bad_rows_are_named_counted_and_skipped(tmp_path: Path) -> None:
    text = (
        "time,a\n2024-01-01 00:00:00,1\n2024-01-01 00:00:01,x7\n2024-01-01 00:00:02\nnever,3\n2024-01-01 00:00:04,5\n"
    )
    outlet = replay(tmp_path, text + "2024-01-01 00:00:03,6\n")
    np.testing.assert_array_equal(outlet.samples(), [[1], [np.nan], [5]])
    assert outlet.counts["bad_rows"] == 3
    assert "1 cells that are no numbers ('x7') are missing; 2 rows of 6 refused" in outlet.lines[0]
    assert "a.csv line 4: 1 cells, 2 expected" in outlet.problems["rows"]
    assert [line.split(": ")[0].rpartition(" ")[2] for line in outlet.lines[1:4]] == ["4", "5", "7"]


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        ("", {}, "empty"),
        ("time,a\n", {}, "no row under the header"),
        ("a,b\n1,2\n3,4\n", {}, "no column is a time"),
        ("time,a\n2024-01-01,x\n2024-01-02,y\n", {}, "no column has numbers"),
        ("time,a\n2024-01-01,1\n", {"time": "date"}, "no column 'date'"),
    ],
)
def test_a_file_that_cannot_be_played_is_one_line(tmp_path: Path, text: str, options: dict[str, str], why: str) -> None:
    with pytest.raises(EdgeloopError, match=why) as caught:
        replay(tmp_path, text, **options)
    assert str(tmp_path / "a.csv") in str(caught.value)


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(EdgeloopError, match=why):
            play(SOURCE, Rehearsal("v", tmp_path), type="replay", path=str(path))


def test_a_wrong_value_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"valve\.speed"):
        replay(tmp_path, "time,a\n0,1\n", speed="fast")


def test_a_file_without_times_takes_a_rate_and_repeats_without_a_step_back(tmp_path: Path) -> None:
    outlet = Rehearsal("v", tmp_path, room=3)
    path = write(tmp_path, "a,b\n1,2\n3,4\n5,6\n")
    play(SOURCE, outlet, type="replay", path=str(path), rate="10 Hz", speed="max", repeat=True, stamp="now")
    assert (np.diff(outlet.times()) == NS // 10).all()
    assert len(outlet.times()) == 9


def test_at_a_speed_rows_come_when_they_are_due(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-01 00:00:{i:02d},{i}\n" for i in range(40))
    outlet = Rehearsal("v", tmp_path)
    with Running(
        SOURCE, outlet, type="replay", path=str(write(tmp_path, "time,a\n" + rows)), speed=100, stamp="now"
    ) as r:
        began = clock.now()
        r.until(lambda: len(outlet.samples()) == 40)
    took = clock.now() - began
    assert took >= 0.38 * NS
    assert np.diff(outlet.times()).tolist() == [NS // 100] * 39
    assert began - NS <= outlet.times()[0] <= began + took
    assert not outlet.state.exists()


def test_a_replay_under_way_goes_on_where_the_sensor_would_be(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i}\n" for i in range(1000))
    path = str(write(tmp_path, "t,a\n" + rows))
    first = Rehearsal("v", tmp_path)
    with Running(SOURCE, first, type="replay", path=path, speed=100) as r:
        r.until(lambda: len(first.samples()) > 10)
    assert first.state.exists()
    kept = durable.read(first.state, State)
    assert kept is not None
    kept.began -= 5 * NS
    first.state.write_bytes(durable.seal(msgspec.json.encode(kept)))
    second = Rehearsal("v", tmp_path)
    with Running(SOURCE, second, type="replay", path=path, speed=100) as r:
        r.until(lambda: len(second.samples()) > 0)
    assert second.samples()[0, 0] > 400


@pytest.mark.parametrize("step", [-86_400 * NS, 86_400 * NS])
def test_a_clock_that_is_set_neither_stops_nor_hurries_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    rows = "".join(f"{i},{i}\n" for i in range(100_000))
    outlet, real = Rehearsal("v", tmp_path), clock.now
    options = {"path": str(write(tmp_path, "t,a\n" + rows)), "speed": 100, "stamp": "now"}
    with Running(SOURCE, outlet, type="replay", **options) as r:
        r.until(lambda: len(outlet.samples()) > 10)
        monkeypatch.setattr(clock, "now", lambda: real() + step)
        r.until(lambda: abs(outlet.times()[-1] - outlet.times()[0] - step) < 60 * NS)
        known, at = len(outlet.samples()), clock.elapsed()
        r.until(lambda: len(outlet.samples()) > known + 50)
        late = (clock.elapsed() - at) / NS
    values = outlet.samples()[:, 0].tolist()
    assert values == list(range(len(values))), "no row is left out, and none comes twice"
    assert len(values) < known + 50 + 100 * (late + 1)


ODD = st.text(st.sampled_from('0123456789.,;|\t"\n\r -eNa:'), max_size=200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD)
def test_no_text_makes_anything_but_rows_or_one_line(tmp_path: Path, text: str) -> None:
    try:
        table = Table(write(tmp_path, text), Options())
    except EdgeloopError:
        return
    try:
        for block in table.blocks():
            assert block.values.shape == (len(block.rows), len(table.channels))
            assert block.times is None or len(block.times) == len(block.rows)
    except EdgeloopError:
        pass
    finally:
        table.close()


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: p.name)
def test_real_recordings_play(tmp_path: Path, path: Path) -> None:
    outlet = Rehearsal("v", tmp_path)
    play(SOURCE, outlet, type="replay", path=str(path), speed="max", ignore="anomaly changepoint")
    lines = len(path.read_text().split("\n")) - 2
    assert lines - 5 <= len(outlet.samples()) + outlet.counts.get("bad_rows", 0) <= lines
    assert outlet.counts.get("bad_rows", 0) < 0.02 * lines
    assert {"anomaly", "changepoint"}.isdisjoint(c.name for c in outlet.streams["v"].channels)
    assert len(outlet.streams["v"].channels) in (1, 8)
