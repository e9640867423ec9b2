"""The documents on the bus as an outsider reads them: unknown keys are welcome, missing ones have a meaning."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec


class TruthEvent(msgspec.Struct, frozen=True):
    """What a simulator did. start, end: ns UTC."""

    id: str
    kind: str
    machine: str
    start: int
    end: int
    state: Literal["started", "ended"]
    stream: str | None = None
    channel: str | None = None
    severity: float = 0.0


class PartTruth(msgspec.Struct, frozen=True):
    """A part on a simulated conveyor. label: what is wrong with it, or good; time: ns UTC of its trigger."""

    id: str
    kind: Literal["part"]
    camera: str
    part: str
    label: str
    time: int


class ModelName(msgspec.Struct, frozen=True):
    name: str = ""
    version: str = ""


class Inspection(msgspec.Struct, frozen=True):
    """A camera's verdict on a frame or a part. time: ns UTC of trigger or capture."""

    camera: str
    verdict: Literal["pass", "fail", "unknown"]
    time: int
    part: str = ""
    label: str = ""
    score: float = 0.0
    confidence: float = 0.0
    model: ModelName = ModelName()
    reason: str = ""
    latency_ms: float = 0.0
    decided_by: str = ""


class Inspections(msgspec.Struct, frozen=True):
    results: list[Inspection]


class ModelRef(msgspec.Struct, frozen=True):
    digest: str
    version: str


class ModelState(msgspec.Struct, frozen=True):
    """What ModelUpdate's store says of a model. active: None where the default serves; since: ns UTC."""

    name: str
    generation: int
    state: str
    active: ModelRef | None = None
    since: int = 0


class Attribution(msgspec.Struct, frozen=True):
    channel: str = ""
    band: str = ""
    ratio: float | None = None
    z: float | None = None


class Result(msgspec.Struct, frozen=True):
    """One monitor in one tick. score: 0..1; return_time: log10 s; time: ns UTC."""

    monitor: str
    score: float | None = None
    return_time: float | None = None
    stream: str = ""
    epoch: int = 0
    index: int = 0
    time: int = 0
    state: str = ""
    attribution: list[Attribution] = []
    indicators: dict[str, Any] = {}


class Results(msgspec.Struct, frozen=True):
    results: list[Result]
    component: str = ""


class Cause(msgspec.Struct, frozen=True):
    stream: str = ""
    epoch: int = 0
    index: int | None = None
    score: float | None = None
    return_time: float | None = None
    attribution: list[Attribution] = []


class AlarmEvent(msgspec.Struct, frozen=True):
    """A change of state of an alarm. sample_time: ns UTC of the newest sample that decided."""

    id: str
    state: str
    monitor: str = ""
    asset: str = ""
    kind: str = ""
    severity: str = ""
    text: str = ""
    raised_at: int | None = None
    time: int = 0
    cause: Cause | None = None
    sample_time: int | None = None
    group: str = ""
    first_out: bool = False

    @property
    def called(self) -> str:
        """The kind in an operator's word.

        >>> AlarmEvent("a1", "raised", kind="process").called, AlarmEvent("a1", "raised", kind="flat_line").called
        ('condition', 'flat line')
        """
        return "condition" if self.kind == "process" else self.kind.replace("_", " ")


class ActionResult(msgspec.Struct, frozen=True):
    id: str
    outcome: str
    source: str = ""
    target: str = ""
    value: float | int | str | bool | None = None
    reason: str = ""
    time: int = 0


class Problem(msgspec.Struct, frozen=True):
    key: str = ""
    line: str = ""


class Health(msgspec.Struct, frozen=True):
    state: str = ""
    problems: list[Problem] = []
    component: str = ""


D = TypeVar("D", bound=msgspec.Struct)


def read(payload: bytes, document: type[D]) -> D | None:
    """The document, or None where the bytes are none (the caller counts it)."""
    try:
        return msgspec.json.decode(payload, type=document)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
