"""The documents of results: few enough bytes for one message of a tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from edgeloop.alarms import Contribution
from edgeloop.clock import rfc3339

LARGEST = 6_500
MODEL = {"name": "streaming", "version": "1"}

State = Literal["idle", "settling", "learning", "shadow", "live"]


class ModelScore(msgspec.Struct, frozen=True, kw_only=True):
    """A model's word beside the streaming detectors'. return_time: log10 s."""

    return_time: float
    version: str = ""
    drift: float = 0.0


class Result(msgspec.Struct, kw_only=True):
    """One monitor's newest word. time: ns UTC of the newest sample; learned: share, 0 to 1; missing: what has to be
    seen until it is 1, in words.

    return_time, event: of the condition and of single points, log10 s; models: by name.
    """

    monitor: str
    stream: str
    epoch: int
    index: int
    time: int
    state: State
    score: float = 0.0
    return_time: float = 0.0
    event: float = 0.0
    models: dict[str, ModelScore] = msgspec.field(default_factory=dict)
    attribution: Sequence[Contribution] = ()
    indicators: dict[str, float] = msgspec.field(default_factory=dict)
    learned: float = 1.0
    missing: str = ""


def pack(results: Sequence[Result], *, site: str, device: str, component: str, time: int) -> list[bytes]:
    """The JSON messages of a tick: one where it fits, without indicators or attribution before there are two."""
    assets = {
        "schema": 1,
        "site": site,
        "device": device,
        "component": component,
        "time": time,
        "time_rfc3339": rfc3339(time),
        "model": MODEL,
    }
    for strip in (0, 1, 2):
        body = [_plain(r, strip) for r in results]
        whole = msgspec.json.encode(assets | {"results": body})
        if len(whole) <= LARGEST:
            return [whole]
    if len(results) < 2:
        return [whole]
    half = len(results) // 2
    return [
        *pack(results[:half], site=site, device=device, component=component, time=time),
        *pack(results[half:], site=site, device=device, component=component, time=time),
    ]


def _plain(result: Result, strip: int) -> dict[str, object]:
    document: dict[str, object] = {
        "monitor": result.monitor,
        "stream": result.stream,
        "epoch": result.epoch,
        "index": result.index,
        "time": result.time,
        "state": result.state,
        "score": result.score,
        "return_time": round(result.return_time, 2),
        "attribution": result.attribution if strip < 2 else [],
    }
    if result.event:
        document["event"] = round(result.event, 2)
    if result.models:
        document["models"] = result.models
    if result.indicators and strip < 1:
        document["indicators"] = {k: float(f"{v:.5g}") for k, v in result.indicators.items()}
    if result.learned < 1:
        document["learned"] = round(result.learned, 3)
        if result.missing:
            document["missing"] = result.missing
    return document
