"""What an action publishes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from edgeloop.clock import rfc3339
from sensor_ingest.sources import entries

VALUE = "{value}"
LONGEST = 1024
PLACES = ("value", "alarm", "text", "channel", "time", "score", "state", "asset", "severity", "monitor", "kind", "id")
_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")
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
        quoted = self.template.lstrip()[:1] in ("{", "[")
        filled = _PLACE.sub(lambda m: _shown(m[1], value, about, quoted), self.template)
        return filled.encode()

    def target(self, value: float, about: Mapping[str, Any]) -> str:
        """The topic; what is filled in is one level of it."""
        filled = _PLACE.sub(lambda m: _LEVEL.sub("_", _shown(m[1], value, about, False))[:128], self.topic)
        return filled


def _shown(place: str, value: float, about: Mapping[str, Any], quoted: bool) -> str:
    said = value if place == "value" else about.get(place, "")
    if place == "time" and isinstance(said, int):
        said = rfc3339(said) if said else ""
    if isinstance(said, bool) or said is None:
        said = str(said or "").lower()
    if isinstance(said, (int, float)):
        return str(int(said)) if said == int(said) and abs(said) < 1e15 else repr(said)
    return json.dumps(str(said), ensure_ascii=False)[1:-1] if quoted else str(said)


def row(name: str, text: str, needed: bool = True) -> Write:
    """`topic`, or `topic payload`. Raises ValueError."""
    topic, _, template = text.strip().partition(" ")
    template = template.strip() or VALUE
    if not topic or any(c in topic for c in "+#\0") or topic.startswith("$") or len(topic) > 256:
        raise ValueError(f"{topic[:64]!r} is no topic to publish to")
    if (needed and not _PLACE.search(template)) or len(template) > LONGEST:
        raise ValueError(f"the payload has no {VALUE}, or is longer than {LONGEST} characters")
    return Write(topic, template)


def parse(writes: Mapping[str, str] | str, actions: Mapping[str, object]) -> dict[str, Write]:
    """By target. Raises ValueError."""
    found = entries.parse(writes, row, "writes")
    for name in actions:
        if name not in found:
            raise ValueError(f"actions.{name}: `writes` does not say where to")
    for name in found:
        if name not in actions:
            raise ValueError(f"writes.{name}: `actions` does not have it")
    return found
