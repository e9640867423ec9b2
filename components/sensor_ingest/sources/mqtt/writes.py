"""What an action publishes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from sensor_ingest.payload.templates import LONGEST, VALUE, filled, has_place
from sensor_ingest.sources import entries

_LEVEL = re.compile(r"[/+#\0]")


@dataclass(frozen=True, slots=True)
class Write:
    """topic, template: with `{value}` and what else is known of the alarm behind an action in them."""

    topic: str
    template: str = VALUE

    def payload(self, value: float, about: Mapping[str, Any] = MappingProxyType({})) -> bytes:
        """
        >>> Write("a/b", '{"stop": {value}, "why": "{text}"}').payload(1.0, {"text": 'a "b"'})
        b'{"stop": 1, "why": "a \\\\"b\\\\""}'
        """
        return filled(self.template, value, about).encode()

    def target(self, value: float, about: Mapping[str, Any]) -> str:
        """The topic; what is filled in is one level of it."""
        return filled(self.topic, value, about, each=lambda text: _LEVEL.sub("_", text)[:128])


def row(name: str, text: str, needed: bool = True) -> Write:
    """`topic`, or `topic payload`. Raises ValueError."""
    topic, _, template = text.strip().partition(" ")
    template = template.strip() or VALUE
    if not topic or any(c in topic for c in "+#\0") or topic.startswith("$") or len(topic) > 256:
        raise ValueError(f"{topic[:64]!r} is no topic to publish to")
    if (needed and not has_place(template)) or len(template) > LONGEST:
        raise ValueError(f"the payload has no {VALUE}, or is longer than {LONGEST} characters")
    return Write(topic, template)


def parse(writes: Mapping[str, str] | str, actions: Mapping[str, object]) -> dict[str, Write]:
    """By target. Raises ValueError."""
    return entries.targets(writes, row, actions)
