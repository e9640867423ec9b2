"""What an action publishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sensor_ingest.sources import entries

VALUE = "{value}"
LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Write:
    """template: the payload, `{value}` being the number."""

    topic: str
    template: str = VALUE

    def payload(self, value: float) -> bytes:
        """
        >>> Write("a/b", '{"stop": {value}}').payload(1.0)
        b'{"stop": 1}'
        """
        number = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
        return self.template.replace(VALUE, number).encode()


def row(name: str, text: str) -> Write:
    """`topic`, or `topic payload`. Raises ValueError."""
    topic, _, template = text.strip().partition(" ")
    template = template.strip() or VALUE
    if not topic or any(c in topic for c in "+#\0") or topic.startswith("$") or len(topic) > 256:
        raise ValueError(f"{topic[:64]!r} is no topic to publish to")
    if VALUE not in template or len(template) > LONGEST:
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
