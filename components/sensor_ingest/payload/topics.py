"""From topics to streams: filters with wildcards, and what their levels name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from edgeloop.config.identifiers import is_id
from edgeloop.config.quantities import Duration
from sensor_ingest.payload.form import Form, fields
from sensor_ingest.sources import entries

_LEVEL = re.compile(r"\{(\d)\}")
_PARTS = re.compile(r"(\{\d\})")
_ODD = re.compile(r"[^a-z0-9_-]+")
REMEMBERED = 4096


class Topic(Form, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Messages of some topics, and what they are."""

    filter: Annotated[
        str,
        Meta(title="Filter", description="topics; `+` is any level, `#` the rest", min_length=1, max_length=256),
    ]
    stream: Annotated[
        str,
        Meta(title="Stream", description="behind the source's id; `{1}` is what the first wildcard stands for"),
    ] = ""
    channel: Annotated[
        str, Meta(title="Channel", description="a message is one channel: the one whose place this names, `{1}`")
    ] = ""
    names: Annotated[
        dict[str, str],
        Meta(title="Names", description="what a level is called here, where its own name is odd or long: by level"),
    ] = {}  # noqa: RUF012
    gather: Annotated[
        Duration,
        Meta(title="Gather", description="longest wait for the other channels", extra={"ge": "1 ms", "le": "1 h"}),
    ] = Duration("1 s")

    def __post_init__(self) -> None:
        super().__post_init__()
        count = wildcards(self.filter)
        for level, name in self.names.items():
            if not is_id(name):
                raise ValueError(f"names.{level}: {name!r} is no name: a-z, 0-9, _ and -, at most 32 characters")
        if self.payload == "sparkplug":
            if not bare(self.filter).startswith(("spBv1.0/", "+/", "#")):
                raise ValueError(f"{self.filter}: topics of Sparkplug B begin with spBv1.0/")
            if self.stream or self.channel:
                raise ValueError("Sparkplug B names its streams itself: leave `stream` and `channel` out")
            return
        for template in (self.stream, self.channel):
            for number in _LEVEL.findall(template):
                if not 1 <= int(number) <= count:
                    raise ValueError(f"{{{number}}}: the filter {self.filter} has {count} wildcards")
        if count and not self.stream and not self.channel:
            raise ValueError("a wildcard needs a `stream` or a `channel`, such as stream: '{1}'")
        if self.value and not self.channel and not self.name:
            raise ValueError("`value` is of a `channel`, or of a list of tags with a `name`")
        if self.channel and not fields(self):
            raise ValueError("`channel` needs `channels`")
        if self.channel and self.rate is not None:
            raise ValueError("`channel` has no `rate`")


def wildcards(filter: str) -> int:
    """How many there are. Raises ValueError where it is no filter (MQTT 3.1.1, section 4.7).

    >>> wildcards("plant/+/state/#")
    2
    """
    levels = bare(filter).split("/")
    for i, level in enumerate(levels):
        if level not in ("+", "#") and ("+" in level or "#" in level or "\0" in level):
            raise ValueError(f"{filter!r} is no filter: a wildcard is a whole level")
        if level == "#" and i < len(levels) - 1:
            raise ValueError(f"{filter!r} is no filter: # is the last level")
    return sum(level in ("+", "#") for level in levels)


def bare(filter: str) -> str:
    """Without the group of a shared subscription."""
    return filter.split("/", 2)[2] if filter.startswith("$share/") and filter.count("/") > 1 else filter


def matcher(filter: str) -> re.Pattern[str]:
    """The groups are what the wildcards stand for.

    >>> matcher("plant/+/#").fullmatch("plant/p1/a/b").groups(), matcher("plant/#").fullmatch("plant").groups()
    (('p1', 'a/b'), (None,))
    """
    parts = []
    for i, level in enumerate(bare(filter).split("/")):
        cut = "/" if i else ""
        if level == "#":
            parts.append(f"(?:{cut}(.*))?" if i else "(.*)")
        else:
            parts.append(cut + (r"([^/]*)" if level == "+" else re.escape(level)))
    return re.compile("".join(parts), re.DOTALL)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message goes. channel: the place that it names, where a message is one channel. title: its full name."""

    stream: str
    topic: Topic
    channel: str = ""
    title: str = ""


class Router:
    """The first entry that matches has the message."""

    def __init__(self, source: str, topics: Mapping[str, Topic]) -> None:
        self._source = source
        self._entries = [(matcher(topic.filter), topic) for topic in topics.values()]
        self._routes: dict[str, Route | None] = {}
        self._owners: dict[str, str] = {}

    def route(self, topic: str) -> Route | None:
        """None where no entry matches. Raises ValueError where two topics would be one stream by accident."""
        if topic in self._routes:
            return self._routes[topic]
        route = self._find(topic)
        if len(self._routes) < REMEMBERED:
            self._routes[topic] = route
        return route

    def _find(self, topic: str) -> Route | None:
        for match, entry in ((pattern.fullmatch(topic), entry) for pattern, entry in self._entries):
            if match is not None:
                levels = [level or "" for level in match.groups()]
                name, title = self.name(_fill(_slugged(entry.stream), levels), entry.names, levels)
                said = title or name
                owner = self._owners.setdefault(name, said) if len(self._owners) < REMEMBERED else said
                if owner != said:
                    raise ValueError(f"{said!r} and {owner!r} would both be the stream {name}")
                return Route(name, entry, _fill(entry.channel, levels), title)
        return None

    def name(self, said: str, names: Mapping[str, str], levels: Sequence[str] = ()) -> tuple[str, str]:
        """The stream of what topics say, and the full name where that is another. names: what people call it."""
        for level in (said, *levels):
            if level in names:
                said = said.replace(level, names[level]) if level else said
        full = f"{self._source}_{said}" if said else self._source
        short = shortened(full)
        return short, full if short != full else ""


def shortened(full: str) -> str:
    """The name itself where it is an identifier, else its first 23 allowed characters and 8 hex of its SHA-256.

    >>> shortened("hall_p1"), shortened("u_3f2504e0-4f89-11d3-9a0c-0305e82c3301")
    ('hall_p1', 'u_3f2504e0-4f89-11d3-9a_bab7f10d')
    """
    if is_id(full):
        return full
    allowed = _ODD.sub("", full.lower().encode("ascii", "ignore").decode())
    return f"{allowed[:23]}_{hashlib.sha256(full.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _slugged(template: str) -> str:
    """What a person wrote around the levels, as a name."""
    return "".join(part if part.startswith("{") else slug(part) for part in _PARTS.split(template))


def _fill(template: str, levels: list[str]) -> str:
    return _LEVEL.sub(lambda m: levels[int(m[1]) - 1], template)


def slug(text: str) -> str:
    """
    >>> slug("Press 7/Ölpumpe")
    'press_7_lpumpe'
    """
    return _ODD.sub("_", text.lower().encode("ascii", "ignore").decode())


def foreseen(source: str, topics: Mapping[str, Topic]) -> dict[str, tuple[str, ...] | None] | None:
    """Channels by stream, as far as the configuration tells."""
    streams: dict[str, tuple[str, ...] | None] = {}
    for topic in topics.values():
        if _LEVEL.search(topic.stream) or topic.payload == "sparkplug":
            return None
        name = shortened(f"{source}_{slug(topic.stream)}") if topic.stream else source
        streams[name] = tuple(f.channel.name for f in fields(topic)) or None
    return streams


def places(topic: Topic) -> dict[str, int]:
    """Column by what `channel` names."""
    texts = entries.split(topic.channels) if isinstance(topic.channels, str) else topic.channels
    return {text.split()[0]: i for i, text in enumerate(t for t in texts.values() if t)}
