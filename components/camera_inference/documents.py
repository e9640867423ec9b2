"""The documents of results: few enough bytes for one message of a tick."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from camera_inference.tracking import Event
from camera_inference.verdict import Box, Word
from edgeloop import documents
from edgeloop.clock import rfc3339
from edgeloop.opinions.messages import Said

LARGEST: Final = 6_500


class ModelName(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One frame's or one part's verdict. time: ns UTC of trigger or capture; decided: ns UTC; latency_ms: between the
    two; part: empty where the source knows none; reason: why it is unknown. strange: how unlike
    the pictures of the training, or of this camera, the picture is: 1 at the edge of what was seen. margin: between the
    two likeliest labels; entropy: of all labels, 1 where they are as likely. events: what
    things that are followed did. Where a second
    opinion was asked: `edge` and `cloud` say what each thought, decided_by whose verdict it is."""

    camera: str
    time: int
    decided: int
    verdict: Word
    part: str = ""
    asset: str = ""
    label: str = ""
    score: float = 0.0
    confidence: float = 0.0
    boxes: tuple[Box, ...] = ()
    model: ModelName = ModelName()
    latency_ms: float = 0.0
    reason: str = ""
    strange: float = 0.0
    margin: float = 1.0
    entropy: float = 0.0
    events: tuple[Event, ...] = ()
    edge: Said | None = None
    cloud: Said | None = None
    decided_by: str = ""


def pack(results: Sequence[Result], *, site: str, device: str, component: str, time: int) -> list[bytes]:
    """The JSON messages of a tick: one where it fits, with at most two boxes for each before there are two."""
    head = {
        "schema": 1,
        "site": site,
        "device": device,
        "component": component,
        "time": time,
        "time_rfc3339": rfc3339(time),
    }
    for boxes in (20, 2):
        whole = documents.encode(head | {"results": [_plain(result, boxes) for result in results]})
        if len(whole) <= LARGEST or (len(results) == 1 and boxes == 2):
            return [whole]
    half = len(results) // 2
    return [
        *pack(results[:half], site=site, device=device, component=component, time=time),
        *pack(results[half:], site=site, device=device, component=component, time=time),
    ]


def _plain(result: Result, boxes: int) -> Any:
    return msgspec.structs.replace(result, boxes=result.boxes[:boxes])
