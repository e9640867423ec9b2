"""One retained message of an asset at IoT Core: all that analyses find of it now.

    edgeloop/findings/<site>/<asset>
    {"schema": 1, "revision": 1767000000, "site": …, "asset": …, "findings": [{"id", "analysis", "version", "device",
    "stream", "channel", "indicator", "kind", "severity", "words", "since", "seen", "until", "evidence", "set"}]}

The whole list each time: who was away has the state, nothing is doubled, an empty list clears. `revision` only grows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from edgeloop.alarms.alarm import Severity
from edgeloop.decode import Bounds, document
from edgeloop.errors import DecodeError
from edgeloop.layout import safe

SCHEMA: Final = 1
ROOT: Final = "edgeloop/findings"
_BOUNDS: Final = Bounds(size=64 << 10, depth=12, text=4 << 10)
_LONGEST: Final = 400
Short = Annotated[str, Meta(max_length=128)]


def topic(site: str, asset: str) -> str:
    """
    >>> topic("Halle 3", "press7"), topic("plant7", "+")
    ('edgeloop/findings/Halle-3/press7', 'edgeloop/findings/plant7/+')
    """
    return f"{ROOT}/{safe(site)}/{asset if asset == '+' else safe(asset)}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """since: where in the data it begins; seen: their last day; until: how long it is valid; each an ISO 8601 day or
    time. device: empty where it is of no one in particular. set: settings by dotted path of the line."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,23}$")]
    words: Annotated[str, Meta(max_length=2000)]
    analysis: Short = ""
    version: Short = ""
    device: Short = ""
    stream: Short = ""
    channel: Short = ""
    indicator: Short = ""
    kind: Short = ""
    severity: Severity = "medium"
    since: Short = ""
    seen: Short = ""
    until: Short = ""
    evidence: Any = None
    set: dict[str, str | float | int] = {}

    def __post_init__(self) -> None:
        for name in ("since", "seen", "until"):
            if text := getattr(self, name):
                moment(text)

    @property
    def monitor(self) -> str:
        """The name under which its alarm stands in the book."""
        return f"fleet_{self.id}"

    @property
    def text(self) -> str:
        words = self.words if len(self.words) <= _LONGEST else f"{self.words[: _LONGEST - 1]}…"
        return f"{words} ({self.analysis})" if self.analysis else words

    def over(self, now: int) -> bool:
        """Whether it has expired. now: ns UTC. A day is over at its end."""
        return bool(self.until) and moment(self.until, end=True) <= now


@dataclass(frozen=True, slots=True)
class FindingList:
    """bad: what of it could not be used, and why."""

    revision: int
    findings: tuple[Finding, ...]
    bad: tuple[str, ...] = field(default=())


class _Message(msgspec.Struct):
    findings: list[msgspec.Raw]
    schema: int = SCHEMA
    revision: int = 0


def parse(payload: bytes, where: str) -> FindingList:
    """Of an empty payload, which ends what a broker retains, an empty list. Raises DecodeError for what is no list; one
    finding that is none costs the others nothing.

    >>> parse(b'{"revision": 7, "findings": [{"id": "a1", "words": "w"}, {"id": "A!"}]}', "t").revision
    7
    """
    if not payload:
        return FindingList(0, ())
    message = document(payload, _Message, what="findings", where=where, bounds=_BOUNDS)
    if message.schema != SCHEMA:
        raise DecodeError("findings cannot be used", where=where, why=f"schema {message.schema}, {SCHEMA} is known")
    found: dict[str, Finding] = {}
    bad = []
    for raw in message.findings:
        try:
            one = document(bytes(raw), Finding, what="a finding", where=where, bounds=_BOUNDS)
            found.setdefault(one.id, one)
        except DecodeError as error:
            bad.append(str(error))
    return FindingList(message.revision, tuple(found.values()), tuple(bad))


def moment(text: str, *, end: bool = False) -> int:
    """ns UTC of a day (its begin, or its end) or a time; without a zone it is UTC. Raises ValueError.

    >>> from edgeloop.clock import NS
    >>> moment("2026-03-01T12:00:00+01:00") // NS, (moment("2026-03-01", end=True) - moment("2026-03-01")) // NS
    (1772362800, 86400)
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    if end and len(text) == 10:
        time += timedelta(days=1)
    if not 1970 <= time.year < 2200:
        raise ValueError(f"{text!r} is out of range")
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
