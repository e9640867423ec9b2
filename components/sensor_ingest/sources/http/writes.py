"""What an action sends: `PUT http://drive/speed {"rpm": {value}}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from sensor_ingest.payload.templates import LONGEST, VALUE, filled, has_place
from sensor_ingest.sources import entries
from sensor_ingest.sources.http.link import Place

METHODS = ("PUT", "POST", "PATCH")


@dataclass(frozen=True, slots=True)
class Write:
    method: str
    place: Place
    template: str = VALUE

    def body(self, value: float, about: Mapping[str, Any] = MappingProxyType({})) -> bytes:
        """
        >>> Write("PUT", Place("http", "a", 80, "/v"), '{"stop": {value}}').body(1.0)
        b'{"stop": 1}'
        """
        return filled(self.template, value, about).encode()

    def target(self, value: float, about: Mapping[str, Any]) -> str:
        """Path and query; what is filled in is one part of it."""
        return filled(self.place.target, value, about, each=lambda text: quote(text, safe="")[:256])


def row(name: str, text: str) -> Write:
    """Method, address, and the body: `{value}` if there is none. Raises ValueError."""
    method, _, rest = text.strip().partition(" ")
    url, _, template = rest.strip().partition(" ")
    if method not in METHODS or not url:
        raise ValueError(f"{text[:60]!r} is no write, such as PUT http://drive/speed {VALUE}")
    template = template.strip() or VALUE
    place = Place.parse(url)
    if not (has_place(template) or has_place(place.target)) or len(template) > LONGEST:
        raise ValueError(f"neither address nor body has a {VALUE}, or it is longer than {LONGEST} characters")
    return Write(method, place, template)


def parse(writes: Mapping[str, str] | str, actions: Mapping[str, object]) -> dict[str, Write]:
    """By target. Raises ValueError."""
    return entries.targets(writes, row, actions)
