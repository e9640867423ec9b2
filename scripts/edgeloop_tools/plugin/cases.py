"""Cases of a plug-in: a configuration in, what has to come out; each a YAML file beside the code, no Python.

A case of a source: `configuration` (as of `sources.<id>`, `{here}` is the folder of the case), `expect.<stream>` with
`channels: {name: unit}` and `rows`, the first rows; or `error`, words of the line that refuses it. A case of a camera:
`uri`, and `expect: {frames: N, size: WxH, parts: [...]}`. Of a detector: `setup: {step, budget, learn}`, `rows`, a CSV
file whose columns are channels, and `expect: {alerts: [[first, end], ...], words: "..."}`, rows from 0 on. Of a
destination: `configuration` (`{server}` is an HTTP server of the case), `records`, what the `server` answers to each,
and `expect: {answers: [...], requests: [...]}`.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import yaml

from edgeloop import decode, documents, plugins
from edgeloop.clock import NS
from edgeloop.config.load import convert
from edgeloop.config.quantities import Budget, Duration
from edgeloop.detect.outside import checked
from edgeloop.detect.protocol import Context, DetectorType, Float, Rows, Scores, Setup
from edgeloop.errors import EdgeloopError
from edgeloop.sequence import Chunk, Records, Stream
from edgeloop_tools.harness.loopback import Loopback

PATIENCE = 30.0
"""s for what a case expects."""


class _Outlet:
    """What every outlet has; the source ends once `enough` says so."""

    id = "case"
    period = 0.0

    def __init__(self, state: Path, enough: Callable[[], bool]) -> None:
        self.state, self.stop, self._enough = state, threading.Event(), enough
        self.problems: list[str] = []

    def ended(self) -> bool:
        if self._enough():
            self.stop.set()
        return self.stop.is_set()

    def confirm(self, written: Callable[[], None]) -> None:
        written()

    def hurry(self) -> None: ...

    def dead(self, stream: str, payload: bytes, why: str) -> None:
        self.problems.append(why)

    def newest(self, stream: str) -> int:
        return 0

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return True

    def reconnected(self) -> None: ...

    def problem(self, line: str, part: str = "") -> None:
        self.problems.append(line)

    def clear(self, part: str = "") -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...


class SourceOutlet(_Outlet):
    """Streams and rows as they come."""

    def __init__(self, state: Path, wanted: Mapping[str, int]) -> None:
        super().__init__(state, self._complete)
        self._wanted = wanted
        self.streams: dict[str, Stream] = {}
        self.rows: dict[str, list[list[Any]]] = {}

    def _complete(self) -> bool:
        return all(len(self.rows.get(stream, ())) >= n for stream, n in self._wanted.items())

    def declare(self, *streams: Stream) -> None:
        self.streams |= {stream.name: stream for stream in streams}

    def put(self, chunk: Chunk) -> bool:
        rows = self.rows.setdefault(chunk.stream, [])
        if isinstance(chunk, Records):
            rows += [list(row) for row in zip(*(column.values for column in chunk.columns.values()), strict=True)]
        else:
            channels = self.streams[chunk.stream].channels if chunk.channels is None else chunk.channels
            scale = np.array([channel.scale for channel in channels])
            offset = np.array([channel.offset for channel in channels])
            rows += (chunk.samples.astype(np.float64) * scale + offset).tolist()
        return not self.ended()


class CameraOutlet(_Outlet):
    """Frames as they come."""

    policy = "every"
    credentials_file = ""
    patience = 5.0
    transport = "tcp"
    rate = 0.0
    last_part = ""

    def __init__(self, state: Path, wanted: int) -> None:
        super().__init__(state, lambda: len(self.frames) >= wanted)
        self.frames: list[tuple[int, ...]] = []
        self.parts: list[str] = []

    def put(self, image: Any, colour: str, *, time: int = 0, part: str = "") -> bool:
        self.frames.append(tuple(image.shape))
        self.parts.append(part)
        return not self.ended()

    def missed(self, part: str, time: int, reason: str, *, blind: bool = True) -> None:
        self.problems.append(f"{part or 'a part'}: {reason}")

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(seconds)

    def room(self) -> bool:
        return not self.ended()


def check(folder: Path | str, state: Path | str) -> int:
    """Runs all cases of a plug-in's folder; how many. Raises AssertionError naming case, place and both values."""
    folder = Path(folder)
    cases = sorted((folder / "cases").glob("*.yaml"))
    assert cases, f"{folder} has no cases/*.yaml"
    kind = folder.parent.name
    run, attribute = _KINDS[kind]
    known = plugins.load(folder.parent.parent, cast(plugins.Kind, kind), folder.name, attribute)
    for path in cases:
        document = yaml.safe_load(path.read_text().replace("{here}", str(path.parent)))
        try:
            run(known, document, Path(state) / f"{path.stem}.json")
        except EdgeloopError as error:
            if not document.get("error") or document["error"] not in str(error):
                raise AssertionError(f"{path}: {error}") from None
        except AssertionError as error:
            raise AssertionError(f"{path}: {error}") from None
        else:
            assert "error" not in document, f"{path}: it ran, and should have been refused: {document['error']}"
    return len(cases)


def _run(source: Any, outlet: _Outlet) -> None:
    def give_up() -> None:
        outlet.stop.set()
        source.interrupt()

    stuck = threading.Timer(PATIENCE, give_up)
    stuck.start()
    try:
        source.setup()
        source.run()
    finally:
        stuck.cancel()
        outlet.stop.set()
        source.close()


def _source(kind: Any, document: Mapping[str, Any], state: Path) -> None:
    expected = document.get("expect", {})
    outlet = SourceOutlet(state, {stream: len(wanted["rows"]) for stream, wanted in expected.items()})
    configuration = convert({"type": "", **document["configuration"]}, kind.options, "sources.case")
    _run(kind(configuration, outlet), outlet)
    for stream, wanted in expected.items():
        assert stream in outlet.streams, f"stream {stream} was not declared, but {', '.join(outlet.streams) or 'none'}"
        channels = {channel.name: channel.unit for channel in outlet.streams[stream].channels}
        assert channels == wanted["channels"], f"{stream} has channels {channels}"
        rows = outlet.rows.get(stream, [])[: len(wanted["rows"])]
        assert len(rows) == len(wanted["rows"]), f"{stream}: {len(rows)} rows came; {'; '.join(outlet.problems)}"
        for at, (row, right) in enumerate(zip(rows, wanted["rows"], strict=True)):
            assert np.allclose(row, right, rtol=1e-6, equal_nan=True), f"{stream} row {at} is {row}, not {right}"


def _camera(kind: Any, document: Mapping[str, Any], state: Path) -> None:
    from camera_inference.sources import Registry

    expected = document.get("expect", {})
    outlet = CameraOutlet(state, int(expected.get("frames", 1)))
    registry = Registry(lambda line: None)
    registry.add(kind)
    place = registry.find(document["uri"], "uri")
    _run(kind(place.place, place.options, outlet), outlet)
    assert len(outlet.frames) >= expected["frames"], f"{len(outlet.frames)} frames came; {'; '.join(outlet.problems)}"
    width, height = (int(word) for word in expected["size"].split("x"))
    assert outlet.frames[0][:2] == (height, width), f"the first frame is {outlet.frames[0]}"
    if "parts" in expected:
        assert outlet.parts[: len(expected["parts"])] == expected["parts"], f"parts are {outlet.parts}"


def _destination(kind: Any, document: Mapping[str, Any], state: Path) -> None:
    from stream_upload.destinations.base import Record

    with _server(document.get("server", [])) as (url, requests):
        words = {
            name: value.replace("{server}", url) if isinstance(value, str) else value
            for name, value in document["configuration"].items()
        }
        destination = kind("case", convert({"type": "", **words}, kind.options, "destinations.case"))
        answers = []
        try:
            for found in document.get("records", []):
                answers.append(destination.send([Record("case", "alarms", found, documents.encode(found))]))
        finally:
            destination.close()
    expected = document.get("expect", {})
    assert answers == expected.get("answers", []), f"the answers are {answers}"
    assert requests == expected.get("requests", requests), f"the server was sent {requests}"


def _detector(kind: DetectorType, document: Mapping[str, Any], state: Path) -> None:
    asked, expected = document["setup"], document["expect"]
    with open(document["rows"], encoding="utf-8") as file:
        channels = tuple(name.strip() for name in file.readline().split(","))
        values = np.array([[float(cell.strip() or "nan") for cell in line.split(",")] for line in file])
    step = Duration(asked["step"]).seconds
    setup = Setup(
        "case", channels, channels, step=step, rate=1 / step, learn=Duration(asked["learn"]).seconds,
        budget=math.log10(Budget(asked.get("budget", "1 alarm/week")) / NS),
    )  # fmt: skip
    whole, words = _scored(kind, setup, values, len(values))
    for size in (1, 7):
        split, _ = _scored(kind, setup, values, size, again=True)
        for each in dataclasses.fields(Scores):
            same = np.array_equal(getattr(whole, each.name), getattr(split, each.name))
            assert same, f"{each.name} depends on how rows are split over calls, or on a restart between them"
    edges = np.flatnonzero(np.diff(np.r_[False, whole.alert & ~whole.learning, False])).reshape(-1, 2).tolist()
    assert edges == expected["alerts"], f"alerts are {edges}"
    assert "words" not in expected or words == expected["words"], f"the words are {words!r}"
    _scored(kind, setup, np.full_like(values, np.nan), 7)


def _scored(kind: DetectorType, setup: Setup, values: Float, size: int, again: bool = False) -> tuple[Scores, str]:
    """In calls of so many rows, and the words of the first alert. again: each by a new one that was given the state."""
    detector, found, words = kind.make(setup), [], ""
    for at in range(0, len(values), size):
        own = values[at : at + size]
        times = (np.arange(at, at + len(own)) * setup.step * NS).astype(np.int64)
        scores = checked(detector.update(Rows(times, own, own), Context()), len(own))
        if scores.alert.any() and not words:
            words = detector.words(int(scores.alert.argmax()))[0]
        found.append(scores)
        if again:
            left, detector = detector.state(), kind.make(setup)
            assert detector.restore(left), "restore does not take what state gave"
    names = [each.name for each in dataclasses.fields(Scores)]
    return Scores(**{name: np.concatenate([getattr(scores, name) for scores in found]) for name in names}), words


_KINDS: Final = {
    "sources": (_source, "SOURCE"),
    "cameras": (_camera, "SOURCE"),
    "detectors": (_detector, "DETECTOR"),
    "destinations": (_destination, "DESTINATION"),
}


@contextmanager
def _server(answers: list[int]) -> Iterator[tuple[str, list[Any]]]:
    """An HTTP server that answers so, one after the other and then 200: its URL, and the JSON it was sent."""
    requests: list[Any] = []
    left = [*answers]

    def answer(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        requests.append(decode.document(body) if body else None)
        request.send_response(left.pop(0) if left else 200)
        request.send_header("Content-Length", "0")
        request.end_headers()

    with Loopback(answer) as server:
        yield f"{server.url}/", requests
