"""What operators said of parts, as it went up: records of kind `labels`, schema 2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeloop.layout import safe


class Answer(msgspec.Struct, frozen=True):
    """subject: `part:<device>/<camera>/<part>`; time: ns UTC."""

    subject: str
    label: str
    by: str = ""
    time: int = 0


class _Uploaded(msgspec.Struct, frozen=True):
    document: Answer


def answers(folder: Path) -> dict[tuple[str, str], list[tuple[str, Answer]]]:
    """By camera and part: devices and what was said, the newest last. Lines that are something else are passed over."""
    found: dict[tuple[str, str], list[tuple[str, Answer]]] = {}
    for path in sorted(folder.glob("*.jsonl")) if folder.is_dir() else ():
        for line in path.read_bytes().splitlines():
            try:
                answer = msgspec.json.decode(line, type=_Uploaded).document
            except msgspec.MsgspecError:
                continue
            device, _, rest = answer.subject.removeprefix("part:").partition("/")
            camera, _, part = rest.partition("/")
            if answer.subject.startswith("part:") and part and answer.label:
                found.setdefault((camera, part), []).append((device, answer))
    for each in found.values():
        each.sort(key=lambda pair: pair[1].time)
    return found


def of_picture(
    said: Mapping[tuple[str, str], list[tuple[str, Answer]]], name: str, about: Mapping[str, Any]
) -> Answer | None:
    """The newest word on what a picture shows. name: of its file, with the device's in it where it was uploaded."""
    known = said.get((str(about.get("camera", "")), str(about.get("part", ""))), [])
    devices = {device for device, _ in known}
    mine = [answer for device, answer in known if len(devices) == 1 or f"{safe(device)}_" in name]
    return mine[-1] if mine else None
