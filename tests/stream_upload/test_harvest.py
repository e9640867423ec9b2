"""Journal to files: every sample once, or declared; whatever dies in between."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeloop import clock
from edgeloop.clock import NS
from edgeloop.config.quantities import Duration, Size
from edgeloop.data import gaps, read
from edgeloop.journal import CursorFile, JournalReader, JournalWriter
from edgeloop.wire.batch import Batch, Channel, Clock, Column, Dropped, Item, RecordBatch
from stream_upload import state
from stream_upload.capture import Alarmed
from stream_upload.configuration import Configuration, Fast
from stream_upload.harvest import Harvest
from stream_upload.spool import Spool

BEGIN = 1_772_323_200 * NS
ALL = Configuration(bucket="b", every=Duration("2 s"), fast=Fast(policy="all"))


class Death(BaseException):
    pass


def vibration(epoch: int, index: int, rows: int, *, dtype: str = "<i2", stream: str = "vib", **more: Any) -> Batch:
    values = np.random.default_rng(index).normal(0, 1000, (rows, 2)).astype(dtype)
    channels = (Channel("x", "m/s2", 0.0049), Channel("time", "g", 0.5, 1.0))
    if values.dtype.kind == "f":
        channels = (Channel("x", "m/s2"), Channel("time", "g"))
    time = BEGIN + index * NS // 3000
    return Batch(stream, epoch, index, time, channels, values, rate=Fraction(3000), clock=Clock("ntp"), **more)


def records(epoch: int, index: int, rows: int) -> RecordBatch:
    at = np.arange(index, index + rows)
    columns = {
        "running": Column("bool", (at % 2).astype(np.uint8)),
        "product": Column("enum", (at % 3).astype(np.int32), ("A", "B", "C")),
        "order": Column("string", tuple(f"order {k}" for k in at)),
        "status": Column("status", at.astype(np.uint32)),
        "count": Column("int", at.astype(np.int64), unit="{part}"),
        "speed": Column("float", at / 7, unit="{rev}/min"),
    }
    return RecordBatch("plc", epoch, index, BEGIN + at * NS // 10, columns, clock=Clock("ptp"))


class Device:
    """A journal and a harvest, that can die and be made again from what is on the disk."""

    def __init__(self, folder: Path, configuration: Configuration = ALL, **journal: Any) -> None:
        self.folder, self.configuration = folder, configuration
        self.out = folder / "out"
        self.out.mkdir()
        self.cursor = CursorFile(folder / "cursor")
        self.options = journal
        self.written: dict[tuple[str, int], int] = {}
        self.start()
        self.journal = self.open()

    def open(self) -> JournalWriter:
        readers = {"upload": self.cursor.path}
        return JournalWriter(self.folder / "journal", durable_readers=readers, **self.options)

    def append(self, *items: Item) -> None:
        self.journal.append(items)
        for item in items:
            if not isinstance(item, Dropped):
                key = item.stream, item.epoch
                self.written[key] = max(self.written.get(key, 0), item.index + len(item))

    def start(self) -> None:
        """As after a start of the process."""
        self.spool = Spool(self.folder / "spool")
        self.saved = state.Saved(self.folder / "state.json")
        self.state = self.saved.load()
        state.recover(self.state, self.spool.files)
        self.harvest = Harvest(
            self.folder / "journal", self.cursor, self.spool, self.state, self.configuration, "core7"
        )

    def step(self, *, upload: bool = True, limit: int = 1 << 20) -> bool:
        more = self.harvest.read(limit)
        self.harvest.account()
        self.saved.save(self.state)
        self.harvest.release()
        if upload:
            self.upload()
        return more

    def upload(self) -> None:
        for waiting in self.spool.files:
            path = self.out / waiting.note.key
            content = waiting.path.read_bytes()
            assert not path.exists() or path.read_bytes() == content, "another content under the same key"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.spool.remove(waiting)

    def covered(self, stream: str, epoch: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Index ranges that arrived, by the names of the files, and that are declared."""
        names = [path.name for path in (self.out / "raw").rglob("*.parquet") if f"stream={stream}/" in str(path)]
        parts = [name.removesuffix(".parquet").split("_") for name in names]
        arrived = [tuple(map(int, part[2].split("-"))) for part in parts if int(part[1], 16) == epoch]
        table = gaps(self.out, stream, form="arrow").drop(["time"]).to_pylist()
        return sorted(arrived), sorted((g["first"], g["last"]) for g in table if g["epoch"] == epoch)  # type: ignore[arg-type]

    def check(self) -> None:
        """Arrived and declared are what was journalled, each sample once; and of indicators none twice."""
        for (stream, epoch), end in self.written.items():
            if stream == "vib":
                ranges = self.covered("vib_indicators", epoch)[0]
                assert all(a[1] < b[0] for a, b in itertools.pairwise(ranges)), ranges
                assert not ranges or ranges[-1][1] < end // 3000
        for (stream, epoch), end in self.written.items():
            arrived, declared = self.covered(stream, epoch)
            at = 0
            for first, last in sorted([*arrived, *declared]):
                assert first == at, (stream, epoch, arrived, declared)
                at = last + 1
            assert at == end, (stream, epoch, arrived, declared)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock."""
    real, moved = clock.elapsed, [0]
    monkeypatch.setattr(clock, "elapsed", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += round(seconds * NS)

    return move


def finish(device: Device, later: Callable[[float], None]) -> None:
    while device.step():
        pass
    for _ in range(3):
        later(3600)
        device.step()


def values(items: list[Item], stream: str) -> list[Batch]:
    return [item for item in items if isinstance(item, Batch) and item.stream == stream]


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<f4", "<f8", ">i2"])
def test_samples_are_read_back_equal(tmp_path: Path, later: Callable[[float], None], dtype: str) -> None:
    device = Device(tmp_path)
    for k in range(30):
        device.append(vibration(1, 600 * k, 600, dtype=dtype, calibration="cal7", discontinuity=k == 3))
    written = values([item for item, _ in JournalReader(tmp_path / "journal").read()], "vib")
    finish(device, later)
    device.check()
    table = read(tmp_path / "out" / "raw", "vib", form="arrow")
    expected = np.concatenate([batch.values() for batch in written])
    assert table["x"].to_numpy().dtype == expected.dtype
    assert np.array_equal(table["x"].to_numpy(), expected[:, 0])
    assert np.array_equal(table["time_"].to_numpy(), expected[:, 1])
    times = [batch.time_of(row) for batch in written for row in range(len(batch))]
    assert np.array_equal(table["time"].cast("int64").to_numpy(), times)
    assert table["index"].to_pylist() == list(range(18_000))
    assert np.flatnonzero(table["quality"].to_numpy()).tolist() == [1800]
    assert table.schema.field("x").metadata == {b"unit": b"m/s2", b"calibration": b"cal7"}
    counts = read(tmp_path / "out", "vib", raw=True, form="arrow")["x"].to_numpy()
    assert np.array_equal(counts, np.concatenate([batch.samples[:, 0] for batch in written]))
    assert counts.dtype == np.dtype(dtype).newbyteorder("=")


def test_records_are_read_back_equal(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path)
    for k in range(20):
        device.append(records(1, 3 * k, 3))
    finish(device, later)
    device.check()
    table = read(tmp_path / "out", "plc", form="arrow").to_pydict()
    assert table["running"] == [k % 2 == 1 for k in range(60)]
    assert table["product"] == ["ABC"[k % 3] for k in range(60)]
    assert table["order"] == [f"order {k}" for k in range(60)]
    assert table["status"] == table["count"] == list(range(60))
    assert table["speed"] == [k / 7 for k in range(60)]


def test_irregular_samples_keep_their_times(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path)
    times = BEGIN + np.cumsum(np.random.default_rng(1).integers(1, NS, 50))
    device.append(Batch("a", 1, 0, int(times[0]), (Channel("v"),), np.arange(50.0)[:, None], times=times))
    finish(device, later)
    table = read(tmp_path / "out", "a", form="arrow")
    assert table["time"].cast("int64").to_pylist() == times.tolist()
    assert set(table["quality"].to_pylist()) == {1}, "a free clock is no good clock"
    assert "clock=unsynced" in str(next((tmp_path / "out" / "raw").rglob("*.parquet")))


def test_part_of_a_stream(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path)
    for k in range(10):
        device.append(vibration(1, 3000 * k, 3000))
    finish(device, later)
    table = read(tmp_path / "out", "vib", "2026-03-01T00:00:02.5", BEGIN + 3 * NS, columns=["x"], form="arrow")
    assert table.column_names == ["time", "x", "device", "epoch", "index", "quality"]
    assert (table["index"].to_pylist()[0], len(table)) == (7500, 1500)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_deaths_at_any_point_lose_and_double_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    """The process ends before or after any of its renames; what it then finds on the disk is enough."""
    real, moved = clock.elapsed, [0]
    windows = Fast(policy="windows", length=Duration("300 ms"), every=Duration("1 s"))
    policy = data.draw(st.sampled_from([Fast(policy="all"), windows, Fast(policy="none")]))
    configuration = Configuration(bucket="b", every=Duration("1 s"), file=Size("64 KiB"), fast=policy)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "elapsed", lambda: real() + moved[0])
        device = Device(tmp_path_factory.mktemp("device"), configuration)
        index = epoch = 0
        for _ in range(data.draw(st.integers(1, 8))):
            if data.draw(st.booleans()):
                previous, epoch, index = ((epoch, index - 1) if index else None), epoch + 1, 0
            else:
                previous = None
            for _ in range(data.draw(st.integers(1, 12))):
                rows = data.draw(st.integers(1, 900))
                device.append(vibration(epoch, index, rows, previous=previous), records(1, index + 10**6 * epoch, 1))
                index, previous = index + rows, None
            moved[0] += data.draw(st.sampled_from([0, 0, NS, 60 * NS]))
            with _dying(patch, data.draw(st.integers(0, 12)), data.draw(st.booleans())):
                try:
                    while device.step(upload=data.draw(st.booleans()), limit=1 << 15):
                        pass
                except Death:
                    device.harvest.close()
                    device.start()
        del device.written["plc", 1]
        while device.step():
            pass
        for _ in range(3):
            moved[0] += 3600 * NS
            device.step()
        device.check()


class _dying:
    """Within it the n-th rename is the last thing that happens."""

    def __init__(self, patch: pytest.MonkeyPatch, left: int, before: bool) -> None:
        self._patch, self._left, self._before = patch, left, before

    def __enter__(self) -> None:
        self._real = {name: getattr(os, name) for name in ("rename", "replace")}
        for name, real in self._real.items():
            self._patch.setattr(os, name, self._make(real))

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            self._patch.setattr(os, name, real)

    def _make(self, real: Callable[..., None]) -> Callable[..., None]:
        def rename(*arguments: Any, **more: Any) -> None:
            self._left -= 1
            if self._left == 0 and self._before:
                raise Death
            real(*arguments, **more)
            if self._left == 0:
                raise Death

        return rename


def test_what_the_device_had_to_drop_is_declared(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path, segment_bytes=4096, budget_bytes=16384)
    for k in range(5):
        device.append(vibration(1, 100 * k, 100))
    device.step()
    for k in range(5, 60):
        device.append(vibration(1, 100 * k, 100))
    device.journal.close()
    device.journal = device.open()
    previous = device.journal.previous("vib")
    assert previous == (1, 5999)
    for k in range(60):
        device.append(vibration(2, 100 * k, 100, previous=previous if k == 0 else None))
    finish(device, later)
    device.check()
    arrived, declared = device.covered("vib", 1)
    assert arrived or declared
    assert sum(last - first + 1 for first, last in device.covered("vib", 2)[1]) > 0


def test_a_stream_seen_for_the_first_time_after_losses(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path)
    device.append(Dropped("vib", 1, 0, 4999, BEGIN), vibration(2, 500, 500, previous=(1, 6999)))
    device.append(Dropped("vib", 1, 0, 6999, BEGIN), Dropped("gone", 1, 10, 19, BEGIN))
    device.written = {("vib", 1): 7000, ("vib", 2): 1000}
    finish(device, later)
    device.check()
    assert device.covered("gone", 1) == ([], [(10, 19)])


def test_routine_windows(tmp_path: Path, later: Callable[[float], None]) -> None:
    windows = Fast(policy="windows", length=Duration("1 s"), every=Duration("4 s"))
    device = Device(tmp_path, Configuration(bucket="b", fast=windows))
    for k in range(120):
        device.append(vibration(1, 300 * k, 300))
    finish(device, later)
    device.check()
    seconds = {int(t) // NS for t in read(tmp_path / "out", "vib", form="arrow")["time"].cast("int64").to_numpy()}
    assert {(second - BEGIN // NS) % 4 for second in seconds} == {0}
    reasons = set(gaps(tmp_path / "out", form="arrow")["reason"].to_pylist())
    assert reasons == {"not_captured"}


def test_indicators_always_go_up(tmp_path: Path, later: Callable[[float], None]) -> None:
    """Made again alike after a death, blocks with a gap left out."""
    device = Device(tmp_path, Configuration(bucket="b", fast=Fast(policy="none"), every=Duration("4 s")))
    index = 0
    for rows in [700, 2300, 5000, 1000, 3000, 7000, 900, 100, 9000, 1000]:
        index += 100 if rows == 7000 else 0
        device.append(vibration(1, index, rows))
        index += rows
        device.step()
        device.start()
    finish(device, later)
    device.check()
    table = read(tmp_path / "out", "vib_indicators", form="arrow")
    assert table["index"].to_pylist() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    late = table["time"].cast("int64").to_numpy() - BEGIN - NS * table["index"].to_numpy()
    assert np.abs(late).max() <= 1, "times are whole ns"
    values = np.concatenate([i.values() for i, _ in JournalReader(tmp_path / "journal").read() if isinstance(i, Batch)])
    x = values[:3000, 0] - values[:3000, 0].mean()
    assert table["x_rms"][0].as_py() == pytest.approx(np.sqrt(np.mean(x**2)), rel=1e-4)
    assert table["x_crest"][0].as_py() == pytest.approx(np.abs(x).max() / x.std(), rel=1e-4)
    assert table.schema.field("x_velocity").metadata == {b"unit": b"m/s"}
    assert len([name for name in table.column_names if name.startswith("x_band")]) >= 4


def test_windows_around_alarms(tmp_path: Path, later: Callable[[float], None]) -> None:
    capture = Fast(policy="alarms", before=Duration("2 s"), after=Duration("1 s"))
    device = Device(tmp_path, Configuration(bucket="b", fast=capture))
    for k in range(100):
        device.append(vibration(1, 300 * k, 300))
    device.step()
    assert device.harvest.held, "it must wait for alarms"
    device.harvest.alarms.add(Alarmed("vib", "bearing", BEGIN + 5 * NS))
    device.harvest.alarms.add(Alarmed("other", "bearing", BEGIN + 8 * NS))
    device.step()
    device.start()
    finish(device, later)
    device.check()
    times = read(tmp_path / "out", "vib", form="arrow")["time"].cast("int64").to_numpy()
    assert (times.min() - BEGIN) / NS == pytest.approx(3, abs=0.11)
    assert (times.max() - BEGIN) / NS == pytest.approx(6, abs=0.11)


def test_a_full_spool_holds_the_journal_back(tmp_path: Path, later: Callable[[float], None]) -> None:
    small = {"file": Size("64 KiB"), "disk": Size("1 MiB"), "indicators": Duration("0 s")}
    device = Device(tmp_path, Configuration(bucket="b", every=Duration("1 s"), fast=Fast(policy="all"), **small))
    for k in range(300):
        device.append(vibration(1, 1000 * k, 1000))
    while device.step(upload=False):
        pass
    assert device.spool.bytes < 2 << 20
    cursor = device.cursor.load()
    assert cursor is not None
    assert device.harvest.samples < 300_000
    assert "fills its share of `disk`" in device.harvest.stands
    while device.spool.files:
        device.upload()
        while device.step(upload=False):
            pass
    finish(device, later)
    device.check()


def test_a_journal_that_is_not_read_on_is_told(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path, segment_bytes=4096)
    for k in range(20):
        device.append(vibration(1, 1000 * k, 1000))
    assert device.harvest.stands == ""
    later(61)
    assert device.harvest.stands.endswith("and there is more")
    device.step()
    assert device.harvest.stands == ""


def test_disk_full_while_writing(
    tmp_path: Path, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(tmp_path)
    for k in range(30):
        device.append(vibration(1, 1000 * k, 1000))
    real = os.fsync

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Exception, match="No space left on device; free disk space"):
        device.step()
    monkeypatch.setattr(os, "fsync", real)
    finish(device, later)
    device.check()


def test_late_names_of_an_epoch_come_in_the_order_of_time(tmp_path: Path, later: Callable[[float], None]) -> None:
    device = Device(tmp_path)
    device.append(vibration(9, 0, 300))
    one = (Channel("x"),)
    device.append(Batch("vib", 2, 0, BEGIN + 60 * NS, one, np.ones((5, 1)), rate=Fraction(1), clock=Clock("ntp")))
    finish(device, later)
    table = read(tmp_path / "out", "vib", form="arrow")
    assert table["epoch"].to_pylist() == [9] * 300 + [2] * 5
    assert table["time_"].to_pylist()[-1] is None
