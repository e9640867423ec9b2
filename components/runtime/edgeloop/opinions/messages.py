"""What CameraInference asks on the bus and VideoUpload answers. The picture itself never crosses it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop.layout import safe

OWNER: Final = "io.edgeloop.CameraInference"
"""Whose work folder the pictures lie in; it alone writes and deletes there."""
Refused = Literal["", "offline", "late", "budget", "error", "unreadable", "not configured"]
_LONGEST: Final = 64


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model's opinion. confidence: 0..1, of `label`; score: 0..1, higher is worse."""

    label: str
    confidence: float = 0.0
    score: float = 0.0
    verdict: str = ""
    model: str = ""
    version: str = ""


class Where(msgspec.Struct, frozen=True, omit_defaults=True):
    """A box: shares of the picture that was sent, from the upper left corner."""

    label: str
    score: float
    x: float
    y: float
    width: float
    height: float


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ask"):
    """On `edgeloop/opinions/ask/<camera>`. id: names the answer's topic; file: below `folder`; due: ns of the monotonic
    clock of this machine, after which nobody waits; edge: what it thinks itself."""

    schema: int = 1
    camera: str
    id: str
    time: int
    file: str
    due: int
    edge: Said
    part: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="answer", omit_defaults=True):
    """On `edgeloop/opinions/<camera>/<id>`. refused: why there is no opinion; pause: ms for which asking is in vain."""

    schema: int = 1
    camera: str
    id: str
    time: int
    part: str = ""
    said: Said | None = None
    boxes: tuple[Where, ...] = ()
    refused: Refused = ""
    why: str = ""
    pause: int = 0
    took_ms: float = 0.0
    endpoint: str = ""


def identity(part: str, time: int) -> str:
    """Of a part, or of a frame that is none; as a level of a topic and the name of a file.

    >>> identity("a1b2-17", 5), identity("", 1700000000000000000)
    ('a1b2-17', '1700000000000000000')
    >>> identity("hall 3/käfer.png", 5)
    'hall-3-k-fer.png-4cba2d'
    """
    if not part:
        return str(time)
    plain = safe(part)[:_LONGEST]
    if plain == part and plain[0].isalnum():
        return plain
    return f"{plain.lstrip('-._:') or 'part'}-{hashlib.blake2b(part.encode(), digest_size=3).hexdigest()}"


def folder(root: Path, camera: str) -> Path:
    """Where the pictures of a camera lie that an opinion is asked about."""
    return root / "work" / OWNER / "opinions" / camera
