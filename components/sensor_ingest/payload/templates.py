"""Texts with places that an action fills: the value, and what is known of the alarm behind it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from edgeloop.clock import rfc3339

VALUE = "{value}"
LONGEST = 1024
PLACES = ("value", "alarm", "text", "channel", "time", "score", "state", "asset", "severity", "monitor", "kind", "id")
_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")


def has_place(template: str) -> bool:
    return _PLACE.search(template) is not None


def filled(template: str, value: float, about: Mapping[str, Any], each: Callable[[str], str] | None = None) -> str:
    """Quoted as JSON has it where the template is JSON; each: done to what is filled in.

    >>> filled('{"stop": {value}, "why": "{text}"}', 1.0, {"text": 'a "b"'})
    '{"stop": 1, "why": "a \\\\"b\\\\""}'
    """
    quoted = each is None and template.lstrip()[:1] in ("{", "[") and not _PLACE.match(template.lstrip())
    change = each or (lambda text: text)
    return _PLACE.sub(lambda m: change(_shown(m[1], value, about, quoted)), template)


def _shown(place: str, value: float, about: Mapping[str, Any], quoted: bool) -> str:
    said = value if place == "value" else about.get(place, "")
    if place == "time" and isinstance(said, int):
        said = rfc3339(said) if said else ""
    if isinstance(said, bool) or said is None:
        said = str(said or "").lower()
    if isinstance(said, (int, float)):
        return str(int(said)) if said == int(said) and abs(said) < 1e15 else repr(said)
    return json.dumps(str(said), ensure_ascii=False)[1:-1] if quoted else str(said)
