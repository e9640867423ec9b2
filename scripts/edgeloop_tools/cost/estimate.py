"""What a line sends, stores and wears, from its capture policy, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgeloop.config.quantities import NANOSECONDS
from edgeloop.detect.features import BlockFeatures
from edgeloop.errors import EdgeloopError
from edgeloop_tools.config.line import Line
from edgeloop_tools.config.outline import ANOMALY, CAMERA, UPLOAD
from edgeloop_tools.config.streams import Streams
from edgeloop_tools.cost.prices import Prices

SAMPLE: Final = 3.2
"""Bytes of a value in what goes up, with its share of time, index and device: 2.8 to 3.2 measured on slow channels
(float32, schema 2, zstd); noise of fast ones compresses to about 3.5."""
JOURNAL: Final = 4.2
"""Bytes of a value in the journal on the device: float32 and the frame's share."""
RESULT: Final = 900
"""Bytes of a message of results of ten monitors."""
CALM: Final = 8_640
"""Messages of results a day that go up while nothing happens."""
DAY: Final = NANOSECONDS["d"]
MONTH: Final = 30.4
USUAL: Final = 1.0
"""Hz of a stream whose rate only a run knows."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Of one stream a day. rate: Hz; assumed: nobody said it. share: of its samples that go up."""

    stream: str
    rate: float
    channels: int
    assumed: bool
    share: float
    up: float
    journal: float
    objects: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one device. up, written: bytes a day that leave, and that are written to its disk; objects a day."""

    flows: tuple[Flow, ...]
    records: float
    up: float
    written: float
    objects: float

    def money(self, prices: Prices, *, months: float, kinesis: bool) -> dict[str, float]:
        """USD a month of one device, with what `months` have gathered in store."""
        gigabytes = self.up * MONTH / 1e9
        young, old = min(1.0, months) * gigabytes, max(0.0, months - 1) * gigabytes
        return {
            "requests": self.objects * MONTH / 1000 * prices.put,
            "storage": young * prices.stored + old * prices.rare,
            "records": self.records * MONTH / 1e9 * (prices.kinesis + prices.firehose) if kinesis else 0.0,
            "connection": 1440 * MONTH / 1e6 * prices.minutes,
            "findings": 30 * MONTH / 1e6 * prices.messages,
        }


def shared(prices: Prices, *, kinesis: bool, hours: float = 0.1) -> dict[str, float]:
    """USD a month of what all devices of a site have together. hours: of an analysis, once an hour, two cores."""
    task = 24 * MONTH * hours * (2 * prices.cpu + 4 * prices.memory)
    return {"stream": 24 * MONTH * prices.stream if kinesis else 0.0, "analyses": task}


def estimate(line: Line, rates: Mapping[str, float], alarms: float) -> Estimate:
    """rates: Hz by stream, where the line does not say it; alarms: a day. Raises LineErrors, EdgeloopError."""
    line.raise_problems()
    part = line.parts.get(UPLOAD)
    upload = part.typed if part is not None else None
    if upload is None or not upload.bucket:
        raise EdgeloopError("nothing goes up", where="upload.bucket", mend="name a bucket, then ask again")
    found = Streams(line)
    flows = []
    if unknown := rates.keys() - {*found.streams, *found.open}:
        raise EdgeloopError("no such stream", where=f"--rate {min(unknown)}", mend=", ".join(sorted(found.streams)))
    known = found.streams | {source: (source, None) for source in found.open}
    for stream, (source, columns) in sorted(known.items()):
        rate = rates.get(stream) or _rate(line, source, stream)
        flows.append(_flow(stream, rate or USUAL, not rate, columns, upload, alarms))
    monitors = _count(line, ANOMALY, "monitors")
    cameras = _count(line, CAMERA, "cameras")
    records = CALM * RESULT * max(1.0, monitors / 10) + alarms * 3 * 700 + cameras * 86_400 * 200
    spooled = sum(flow.up for flow in flows) + records
    files = 0.0 if upload.kinesis else DAY / min(int(upload.every), 5 * NANOSECONDS["min"])
    return Estimate(
        tuple(flows), records, spooled, sum(flow.journal for flow in flows) + spooled,
        sum(flow.objects for flow in flows) + files,
    )  # fmt: skip


def _flow(stream: str, rate: float, assumed: bool, columns: Any, upload: Any, alarms: float) -> Flow:
    names = tuple(columns or ("value",))
    fast = rate > float(upload.slow)
    capture = upload.capture.get(stream) or (upload.fast if fast else None)
    share, windows = _share(capture, alarms)
    each = DAY / int(upload.every)
    objects = each if share == 1.0 else windows
    up = rate * 86_400 * len(names) * SAMPLE * share
    if fast and int(upload.indicators):
        block = int(upload.indicators)
        features = BlockFeatures(list(names), rate, max(64, round(rate * block / 1e9))).features
        kept = sum(feature.kind in ("rms", "shape", "level", "band", "value") for feature in features)
        up += DAY / block * kept * SAMPLE
        objects += each
    return Flow(stream, rate, len(names), assumed, share, up, rate * 86_400 * len(names) * JOURNAL, objects)


def _share(capture: Any, alarms: float) -> tuple[float, float]:
    """Of the samples that go up, and windows a day."""
    if capture is None or "all" in capture.words:
        return 1.0, 0.0
    if "none" in capture.words:
        return 0.0, 0.0
    share = windows = 0.0
    if "windows" in capture.words:
        share += min(1.0, int(capture.length) / int(capture.every))
        windows += DAY / int(capture.every)
    if "alarms" in capture.words:
        share += alarms * (int(capture.before) + int(capture.after)) / DAY
        windows += alarms
    return min(1.0, share), windows


def _rate(line: Line, source: str, stream: str) -> float:
    """Hz, 0 where the line does not say it."""
    kind, options = line.sources.get(source, (None, None))
    if options is None:
        return 0.0
    if (poll := getattr(options, "poll", None)) is not None and int(poll):
        return 1e9 / int(poll)
    if (rate := getattr(options, "rate", None)) is not None:
        return float(rate)
    if kind is not None and kind.__module__.endswith(".simulator"):
        from edgeloop.sim.machine import Machine
        from edgeloop.sim.spec import Spec

        made = {s.name: s.rate for s in Machine(Spec(source), 0).streams}
        return float(made.get(stream) or 0.0)
    return 0.0


def _count(line: Line, component: str, section: str) -> int:
    part = line.parts.get(component)
    return len(getattr(part.typed, section, {}) or {}) if part is not None and part.typed is not None else 0
