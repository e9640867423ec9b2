"""What other components say on the bus, as far as the page shows it: checked here, trusted behind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=1_024)]
Nanoseconds = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class MonitorResult(msgspec.Struct, kw_only=True):
    """A monitor's newest word. time: ns UTC; return_time, event: log10 s; score, learned: 0 to 1."""

    monitor: Text
    stream: Text = ""
    state: Text = "live"
    time: Nanoseconds = 0
    score: float = 0.0
    return_time: float = 0.0
    event: float = 0.0
    learned: float = 1.0
    attribution: list[dict[str, Any]] = []


class PartResult(msgspec.Struct, kw_only=True):
    """A part's or frame's verdict. time, decided: ns UTC of the picture and of the verdict."""

    camera: Text
    time: Nanoseconds
    decided: Nanoseconds
    verdict: Literal["pass", "fail", "unknown"] = "unknown"
    part: Text = ""
    asset: Text = ""
    label: Text = ""
    reason: Text = ""
    score: float = 0.0
    confidence: float = 0.0
    strange: float = 0.0
    latency_ms: float = 0.0
    boxes: list[dict[str, Any]] = []
    model: dict[str, Any] = {}


class Results(msgspec.Struct, kw_only=True):
    results: list[dict[str, Any]] = []


class Problem(msgspec.Struct, kw_only=True):
    """since: ns UTC."""

    line: Text
    key: Text = ""
    since: Nanoseconds = 0
    count: int = 1


class HealthDocument(msgspec.Struct, kw_only=True):
    state: Text = "ok"
    problems: list[Problem] = []
    uptime_s: float | None = None
    process: dict[str, float] = {}
    upload: dict[str, float] | None = None
    gauges: dict[str, float] = {}
    counters: dict[str, float] = {}


def results(document: Results) -> tuple[list[MonitorResult], list[PartResult]]:
    """Those of monitors and those of cameras. Raises msgspec.ValidationError for one that is neither.

    >>> said = Results(results=[{"monitor": "m", "score": 0.5}, {"camera": "c", "time": 1, "decided": 2}])
    >>> monitors, parts = results(said)
    >>> monitors[0].score, parts[0].verdict
    (0.5, 'unknown')
    """
    monitors = [msgspec.convert(one, MonitorResult) for one in document.results if "monitor" in one]
    parts = [msgspec.convert(one, PartResult) for one in document.results if "monitor" not in one]
    return monitors, parts
