"""Bytes and syncs a day beside the journal's own samples: `python tests/benchmarks/wear.py`.

What AnomalyInference, StreamUpload and the book of a camera's parts write for a line, with every timer on a clock that
is moved on, so that MINUTES of the line's time take seconds. Their calls of `write` and `fsync` are counted by the file
they go to, those below `journal/` apart; a day is that many times as long. Uploads succeed at once. Log files and the
metrics of health are not in it: SensorIngest writes nothing but the journal while no action is asked for."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.journal import JournalWriter, directory
from edgeloop.log import Log
from edgeloop.samples import SamplesPublisher
from edgeloop.wire.batch import Batch, Channel, Clock, Item
from edgeloop_tools.bench.suite import show

EXTRAS = ("parquet",)
MINUTES: Final = {"idle": 30, "press": 6, "two_machines": 4}
STEP: Final = 0.5
"""s of the line's time at once."""
DAY: Final = 86_400
MB: Final = 1_000_000
BEGAN: Final = 1_772_323_200 * NS
CLOCK: Final = Clock("ntp")


class Counted:
    """While it is entered: bytes and syncs by the first part of the path below a folder that says who wrote."""

    _WRITES: Final = ("write", "pwrite", "pwritev")
    _SYNCS: Final = ("fsync", "fdatasync")

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self.bytes: Counter[str] = Counter()
        self.syncs: Counter[str] = Counter()
        self._real: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> Counted:
        for name in (*self._WRITES, *self._SYNCS):
            self._real[name] = getattr(os, name)
            setattr(os, name, self._counting(name))
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _counting(self, name: str) -> Callable[..., Any]:
        real, syncs = self._real[name], name in self._SYNCS

        def call(descriptor: int, *arguments: Any) -> Any:
            done = real(descriptor, *arguments)
            whose = self._whose(descriptor)
            if whose and syncs:
                self.syncs[whose] += 1
            elif whose:
                self.bytes[whose] += done
            return done

        return call

    def _whose(self, descriptor: int) -> str:
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return ""
        if not path.startswith(self._root):
            return ""
        parts = path[len(self._root) :].split("/")
        return "journal" if "journal" in parts else "/".join(parts[1:3])


class Moved:
    """The clocks of this process, moved on by hand."""

    def __init__(self) -> None:
        self.now = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        real = time.monotonic, time.monotonic_ns, time.time_ns
        start = time.monotonic_ns()
        time.monotonic_ns = lambda: start + self.now
        time.monotonic = lambda: (start + self.now) / NS
        time.time_ns = lambda: BEGAN + self.now
        try:
            yield
        finally:
            time.monotonic, time.monotonic_ns, time.time_ns = real


@dataclass(frozen=True, slots=True)
class Stream:
    name: str
    channels: tuple[Channel, ...]
    rate: int
    dtype: str
    still: bool = False

    def batches(self, seconds: float) -> Iterator[Batch]:
        rows = max(1, round(self.rate * seconds))
        noise = np.random.default_rng(7).normal(0, 1000, (64 * rows, len(self.channels)))
        values = (noise if not self.still else np.full_like(noise, 21)).astype(self.dtype)
        for n in range(1 << 30):
            at = n % 64 * rows
            yield Batch(
                self.name, 1, n * rows, BEGAN + n * rows * NS // self.rate, self.channels, values[at : at + rows],
                rate=Fraction(self.rate), clock=CLOCK,
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """monitors: their configuration; part: s between two parts of a camera, 0 without one."""

    streams: tuple[Stream, ...]
    monitors: dict[str, Any]
    part: float = 0.0


def vibration(name: str, rate: int = 25_600) -> Stream:
    return Stream(name, tuple(Channel(axis, "m/s2", 0.0048) for axis in "xyz"), rate, "<i2")


def plc(name: str, *, still: bool) -> Stream:
    return Stream(name, tuple(Channel(f"tag{n}", "Cel") for n in range(40)), 2, "<f4", still)


def bearing(stream: str) -> dict[str, Any]:
    return {"asset": "press7", "input": stream, "learn": "1 h", "shaft": "29.95 Hz", "budget": "1 alarm/week"}


def hydraulics(stream: str) -> dict[str, Any]:
    return {"asset": "press7", "input": stream, "learn": "8 h", "channels": "tag0 tag1 tag2 tag3"}


LINES: Final = {
    "idle": Line((plc("press7_plc", still=True),), {"hydraulics": hydraulics("press7_plc")}),
    "press": Line(
        (vibration("press7_vib"), plc("press7_plc", still=False)),
        {"bearing": bearing("press7_vib"), "hydraulics": hydraulics("press7_plc")},
        part=3.0,
    ),
    "two_machines": Line(
        (vibration("press1_vib"), vibration("press2_vib")),
        {"one": bearing("press1_vib"), "two": bearing("press2_vib")},
    ),
}


def run(share: float = 1.0) -> dict[str, Any]:
    """Of each line: MB and syncs a day of all but the journal, MB a day of the journal, by file. share: of MINUTES."""
    found = {name: _measured(line, share * MINUTES[name]) for name, line in LINES.items()}
    idle, press, two = (found[name] for name in ("idle", "press", "two_machines"))
    share = 100 * two["mb_a_day"] / two["journal_mb_a_day"]
    goals = [
        {"goal": "idle line: beside the journal", "at_most": 50, "figure": idle["mb_a_day"], "unit": "MB a day"},
        {"goal": "idle line: syncs beside the journal's", "at_most": 5000, "figure": idle["syncs_a_day"],
         "unit": "a day"},
        {"goal": "press example: beside the journal", "at_most": 500, "figure": press["mb_a_day"], "unit": "MB a day"},
        {"goal": "two vibration machines: of the journal's bytes", "at_most": 10, "figure": round(share, 2),
         "unit": "%"},
    ]  # fmt: skip
    return {"goals": goals, **found}


def _measured(line: Line, minutes: float) -> dict[str, Any]:
    moved = Moved()
    with tempfile.TemporaryDirectory() as folder, moved.taken(), Counted(Path(folder).resolve()) as counted:
        _live(line, Path(folder).resolve(), moved, minutes)
    days = DAY / (minutes * 60)
    beside = {whose: count for whose, count in counted.bytes.items() if whose != "journal"}
    syncs = {whose: count for whose, count in counted.syncs.items() if whose != "journal"}
    return {
        "mb_a_day": round(sum(beside.values()) * days / MB, 2),
        "syncs_a_day": round(sum(syncs.values()) * days),
        "journal_mb_a_day": round(counted.bytes["journal"] * days / MB, 1),
        "mb_a_day_by_file": {whose: round(beside[whose] * days / MB, 2) for whose in sorted(beside)},
        "syncs_a_day_by_file": {whose: round(syncs[whose] * days) for whose in sorted(syncs)},
    }


def _live(line: Line, root: Path, moved: Moved, minutes: float) -> None:
    """Once in that time a window of all samples goes up, of the same share as 10 s of every hour."""
    from anomaly_inference.configuration import Configuration as Anomaly
    from anomaly_inference.declaration import NAME as ANOMALY
    from anomaly_inference.service import Service
    from stream_upload.configuration import Configuration as Upload
    from stream_upload.declaration import NAME as UPLOAD
    from stream_upload.uploader import Uploader

    every = round(minutes * 60)
    fast = {"policy": "windows alarms", "every": f"{every} s", "length": f"{every * 1000 // 360} ms"}
    service = Service(_app(root, ANOMALY, convert({"monitors": line.monitors}, Anomaly)))
    uploader = Uploader(_app(root, UPLOAD, convert({"bucket": "bucket", "fast": fast}, Upload)), _Cloud)
    book = _Parts(root, line.part)
    sources = [stream.batches(STEP) for stream in line.streams]
    with JournalWriter(directory(root), epoch=1, budget_bytes=64 << 20) as writer, uploader:
        publisher = SamplesPublisher(lambda _, payload: _told(service, payload), writer)
        for _ in range(round(every / STEP)):
            items: Sequence[Item] = [next(source) for source in sources]
            moved.now += int(STEP * NS)
            publisher.tick(items)
            service.publish(service.infer(0))
            uploader.step()
            book.step()
    service.close()


def _told(service: Any, payload: bytes) -> bool:
    service._noticed("", payload)
    return True


def _app(root: Path, name: str, configuration: Any) -> Any:
    """What a component sees of its process, without a nucleus."""
    from edgeloop.health import Health

    work = root / "work" / name
    work.mkdir(parents=True)
    bus = SimpleNamespace(
        publish=lambda *_: True, subscribe=lambda *_, **__: None, probe=lambda: None, publish_document=lambda *_: True
    )
    return SimpleNamespace(
        config=configuration, work=work, root=root, bus=bus, health=Health(name, lambda _: None), name=name,
        log=Log(name, "error"), on_configuration=lambda _: None, restart=lambda *_: None,
    )  # fmt: skip


class _Parts:
    """A camera's book, with a part every so often."""

    def __init__(self, root: Path, every: float) -> None:
        from camera_inference.parts import PartBook

        self._every, self._number, self._next, self._synced = every, 0, every, 0.0
        self._elapsed = 0.0
        self._book = PartBook(root / "work" / "io.edgeloop.CameraInference" / "parts", "gate7") if every else None

    def step(self) -> None:
        from camera_inference.documents import Result

        self._elapsed += STEP
        if self._book is None or self._elapsed < self._next:
            return
        self._next += self._every
        self._number += 1
        part = f"{self._number:08d}"
        self._book.open(part, time.time_ns(), time.monotonic_ns())
        self._book.decide(
            Result(camera="gate7", part=part, asset="gate7", time=time.time_ns(), decided=time.time_ns(),
                   verdict="pass", latency_ms=20.0, reason="")
        )  # fmt: skip
        self._book.announced([part])
        self._book.sync()


class _Cloud:
    """Stream Manager and a cloud that takes everything at once."""

    def __init__(self) -> None:
        self._streams: dict[str, list[bytes]] = {}
        self._definitions: dict[str, Any] = {}

    def create_message_stream(self, definition: Any) -> None:
        self._streams[definition.name] = []
        self._definitions[definition.name] = definition

    def append_message(self, stream_name: str, data: bytes) -> int:
        import stream_manager as sdk
        from stream_manager.data import EventType, StatusLevel

        stream = self._streams[stream_name]
        stream.append(data)
        number = len(stream) - 1
        task = sdk.Util.deserialize_json_bytes_to_obj(data, sdk.S3ExportTaskDefinition)
        context = sdk.StatusContext(task, stream_name, stream_name, number)
        said = sdk.StatusMessage(EventType.S3Task, StatusLevel.INFO, sdk.Status.Success, context, "", 1)
        status = next(name for name in self._streams if name.endswith("-status"))
        self._streams[status].append(sdk.Util.validate_and_serialize_to_json_bytes(said))
        return number

    def read_messages(self, stream_name: str, options: Any) -> list[Any]:
        import stream_manager as sdk
        from stream_manager.data import Message

        start = options.desired_start_sequence_number
        found = self._streams[stream_name][start:]
        if not found:
            raise sdk.NotEnoughMessagesException("none")
        return [Message(stream_name, start + k, 0, payload) for k, payload in enumerate(found)]

    def describe_message_stream(self, stream_name: str) -> Any:
        import stream_manager as sdk
        from stream_manager.data import MessageStreamInfo

        if stream_name not in self._streams:
            raise sdk.ResourceNotFoundException(stream_name)
        newest = len(self._streams[stream_name]) - 1
        export = MessageStreamInfo.exportStatuses(last_exported_sequence_number=newest, exported_messages_count=1)
        storage = MessageStreamInfo.storageStatus(0, newest, 0)
        return MessageStreamInfo(self._definitions[stream_name], storage, [export])

    def close(self) -> None:
        """Nothing is open."""


if __name__ == "__main__":
    print(show(run()))
