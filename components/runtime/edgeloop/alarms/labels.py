"""What operators said about alarms, as intervals of samples: labels to train on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from edgeloop.alarms.alarm import Alarm, Kind, Reason
from edgeloop.decode import document
from edgeloop.errors import DecodeError


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """One acknowledged alarm. Samples [first, last] of (stream, epoch), taken in [start, end], ns UTC.

    last: -1 where the alarm ended in another epoch. open: the condition has not ended; `last` and `end` are as far as
    is known. time: ns UTC at which `by` gave the reason, or the alarm ended after it. The interval begins where the
    detector was sure, which is after the fault began.
    """

    schema: int = 1
    alarm: str
    monitor: str
    asset: str
    kind: Kind
    stream: str
    epoch: int
    first: int
    last: int
    start: int
    end: int
    reason: Reason
    by: str
    time: int
    open: bool

    def document(self) -> bytes:
        """JSON."""
        return msgspec.json.encode(self)


class _Record(msgspec.Struct):
    """A line of a file of records as it is uploaded: the document in its envelope."""

    document: msgspec.Raw


_FORMS: tuple[type[Alarm | Label], ...] = (Alarm, Label)


def label(alarm: Alarm) -> Label | None:
    """None where nobody gave a reason, and of floods, whose alarms have labels of their own."""
    if not alarm.reason or alarm.kind == "flood":
        return None
    start = alarm.began or alarm.raised_at
    return Label(
        alarm=alarm.id, monitor=alarm.monitor, asset=alarm.asset, kind=alarm.kind, stream=alarm.cause.stream,
        epoch=alarm.cause.epoch, first=alarm.cause.index,
        last=max(alarm.sample_index, alarm.cause.index) if alarm.sample_epoch == alarm.cause.epoch else -1,
        start=start, end=max(start, alarm.sample_time), reason=alarm.reason, by=alarm.by, time=alarm.time,
        open=alarm.open and alarm.active,
    )  # fmt: skip


def labels(records: Iterable[Alarm | Label | bytes], stream: str = "") -> list[Label]:
    """The newest label of each alarm, by start. What is none of these is passed over.

    records: alarms and labels, or as lines of `alarms.jsonl` and of uploaded records of kinds "alarms" and "labels",
    in any order, also repeated. stream: only this one's.

    >>> from edgeloop.alarms import Cause
    >>> a = Alarm(id="a1", monitor="m", asset="press1", kind="process", severity="low", state="acknowledged", text="t",
    ...           raised_at=5, time=9, sample_time=5, began=5, sample_epoch=7, sample_index=100, reason="false",
    ...           cause=Cause(stream="press1_vib", epoch=7, index=100))
    >>> b = msgspec.structs.replace(a, state="cleared", time=20, sample_time=15, sample_index=200, active=False)
    >>> [(x.first, x.last, x.end, x.reason, x.open) for x in labels([b.document(), a.document(), b"nonsense"])]
    [(100, 200, 15, 'false', False)]
    """
    newest: dict[str, Label] = {}
    for record in records:
        found = _decode(record) if isinstance(record, bytes) else record
        found = label(found) if isinstance(found, Alarm) else found
        if found is None or (stream and found.stream != stream):
            continue
        known = newest.get(found.alarm)
        if known is None or (found.time, not found.open) >= (known.time, not known.open):
            newest[found.alarm] = found
    return sorted(newest.values(), key=lambda x: (x.start, x.alarm))


def _decode(line: bytes) -> Alarm | Label | None:
    with suppress(DecodeError):
        line = bytes(document(line, _Record).document)
    for form in _FORMS:
        with suppress(DecodeError):
            return document(line, form)
    return None
