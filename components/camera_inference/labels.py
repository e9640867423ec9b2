"""What people say of parts: labels, kept in the queue of what goes up."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.decode import document

KIND = "labels"
Text = Annotated[str, Meta(max_length=300)]


class LabelBox(msgspec.Struct, frozen=True):
    """Pixels of the stored picture, or shares of it, as the page gives them."""

    label: Annotated[str, Meta(max_length=64)]
    x: float
    y: float
    width: float
    height: float


class LabelRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One label, schema 2. subject: `part:<device>/<camera>/<part>`. time: ns UTC. replaces: an earlier record's."""

    schema: Literal[2]
    subject: Annotated[str, Meta(pattern=r"^part:[^\s]{1,280}$")]
    label: Annotated[str, Meta(min_length=1, max_length=64)]
    by: Annotated[str, Meta(max_length=64)]
    time: Annotated[int, Meta(ge=0)]
    source: Literal["operator", "page", "import", "simulator"]
    time_rfc3339: Annotated[str, Meta(max_length=40)] = ""
    boxes: Annotated[tuple[LabelBox, ...], Meta(max_length=100)] = ()
    replaces: Text = ""


class PartLabel(msgspec.Struct, frozen=True, tag_field="command", tag="label"):
    """The command that brings it."""

    camera: Annotated[str, Meta(max_length=64)]
    part: Annotated[str, Meta(max_length=200)]
    record: LabelRecord


def record_of(payload: bytes, device: str) -> bytes:
    """The record of a command, as it is kept. Raises DecodeError; ValueError where it is of another device's part."""
    command = document(payload, PartLabel, what="a label of a part")
    subject = f"part:{device}/{command.camera}/{command.part}"
    if command.record.subject != subject:
        raise ValueError(f"it is of {command.record.subject}, not of {subject}")
    return msgspec.json.encode(command.record)


def part_of(record: bytes) -> tuple[str, str]:
    """Camera and part of a record as it is kept."""
    _, camera, part = document(record, LabelRecord).subject.split("/", 2)
    return camera, part
