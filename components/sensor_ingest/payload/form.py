"""What a payload is: the settings that every type with payloads takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeloop.config import units
from edgeloop.config.quantities import Rate
from edgeloop.errors import EdgeloopError
from edgeloop.tables.moments import known_zone
from edgeloop.wire.batch import Channel
from sensor_ingest.payload import places
from sensor_ingest.payload.envelope import ENCODINGS, Compression
from sensor_ingest.payload.numerals import Decimal, words
from sensor_ingest.payload.places import Keys
from sensor_ingest.sources import entries

ARRIVAL = "arrival"
DTYPES = {"i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"}
MOST = 256
"""Channels that are found out."""
NAMED = frozenset({"influx", "sparkplug"})
"""Payloads whose values have names, not places."""
_QUOTED = re.compile(r'"([^"]+)"\s*(.*)')


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: Annotated[
        Literal["json", "senml", "text", "pairs", "binary", "influx", "cbor", "msgpack", "sparkplug"],
        Meta(
            title="Payload",
            description="text: cells, or what `pattern` finds; pairs: `key=value`; binary: values of `dtype`; influx: "
            "its line protocol; sparkplug: Sparkplug B",
        ),
    ] = "json"
    channels: Annotated[
        dict[str, str] | str,
        Meta(
            title="Channels",
            description="where each is, unit, scale, offset: `data.temp Cel *0.1`; none: every number is one",
        ),
    ] = {}
    records: Annotated[
        str, Meta(title="Records", description="where the list of readings is, if one message brings several")
    ] = ""
    time: Annotated[
        str,
        Meta(title="Time", description="where the time stamp is; `arrival`: none; empty: found, if `channels` are"),
    ] = ""
    form: Annotated[str, Meta(title="Form", description="how a time is written, as strptime has it")] = ""
    zone: Annotated[
        str, Meta(title="Zone", description="IANA zone of times that name none, such as Europe/Berlin; empty: UTC")
    ] = ""
    rate: Annotated[Rate | None, Meta(title="Rate", description="of samples that come without a time each")] = None
    separator: Annotated[str, Meta(title="Separator", description="of cells; empty: found out", max_length=8)] = ""
    pattern: Annotated[
        str, Meta(title="Pattern", description="regular expression; its groups are the values", max_length=500)
    ] = ""
    dtype: Annotated[str, Meta(title="Type", description="of binary values, as numpy writes it")] = "<f4"
    decimal: Annotated[
        Decimal, Meta(title="Decimal", description='what stands before decimals in texts; "": found out, if it can be')
    ] = ""
    words: Annotated[
        dict[str, str] | str,
        Meta(title="Words", description="texts that stand for a number, or none: `ON=1, OFF=0, unavailable=none`"),
    ] = {}
    name: Annotated[str, Meta(title="Name", description="of a list of tags: where the name of each is")] = ""
    value: Annotated[
        str, Meta(title="Value", description="where the value of a tag, or of `channel`, is; empty: `value`, or all")
    ] = ""
    good: Annotated[
        str,
        Meta(
            title="Good",
            description="where the quality of a tag, or of a message, is, and which codes are good: `q`, `quality 192`",
        ),
    ] = ""
    encoding: Annotated[str, Meta(title="Encoding", description="of texts: utf-8, latin-1, cp1252, utf-16 …")] = "utf-8"
    compression: Annotated[
        Compression,
        Meta(title="Compression", description="none, gzip, zlib or zstd; empty: by the first bytes, except of binary"),
    ] = ""

    def __post_init__(self) -> None:
        check(self)


def check(form: Form) -> None:
    """Raises ValueError."""
    found = fields(form)
    words(form.words)
    if form.zone:
        try:
            known_zone(form.zone)
        except EdgeloopError as error:
            raise ValueError(f"zone: {error}") from None
    if form.encoding not in ENCODINGS:
        raise ValueError(f"encoding: {form.encoding!r} is none of {', '.join(ENCODINGS)}")
    if (form.good or form.value) and form.payload not in ("json", "cbor", "msgpack", "text", "pairs", "senml"):
        raise ValueError(f"a payload of {form.payload} has no `value` or `good`")
    if form.good:
        places.parse(form.good.split()[0])
    if form.name:
        for place in (form.name, form.value or "value", *form.good.split()[:1]):
            places.parse(place)
        if form.payload not in ("json", "cbor", "msgpack"):
            raise ValueError(f"a payload of {form.payload} has no list of tags")
        if form.rate is not None:
            raise ValueError("a list of tags has no `rate`")
    if form.time and form.time != ARRIVAL:
        places.parse(form.time, first(form))
    if form.records:
        places.parse(form.records)
    if form.rate is not None and form.rate <= 0:
        raise ValueError("the rate must be more than 0")
    if form.payload == "binary":
        item(form)
        if [f.keys for f in found] != [(i,) for i in range(len(found))]:
            raise ValueError("the channels of a binary payload are 1, 2, … in their order")
        if form.time not in ("", ARRIVAL):
            raise ValueError("a binary payload has no time")
    if form.pattern:
        pattern(form)


class Field(msgspec.Struct, frozen=True):
    """Where a channel is in the document."""

    channel: Channel
    keys: Keys


def fields(form: Form) -> tuple[Field, ...]:
    """The configured channels. Raises ValueError."""
    base, named = first(form), bool(form.name) or form.payload in NAMED
    return tuple(entries.parse(form.channels, lambda name, text: field(name, text, base, named), "channels").values())


def field(name: str, text: str, base: int = 0, named: bool = False) -> Field:
    """A row of `channels`. named: the place is a name as it stands, in quotes where blanks are in it.

    Raises ValueError.

    >>> field("temp", "data.temp Cel *0.1 -40")
    Field(channel=Channel(name='temp', unit='Cel', scale=0.1, offset=-40.0), keys=('data', 'temp'))
    >>> field("temp", '"Oil temp.1" Cel', named=True).keys
    ('Oil temp.1',)
    """
    if (quoted := _QUOTED.match(text.strip())) is not None:
        where, tokens = quoted[1], quoted[2].split()
        if not named:
            return Field(channel(name, tokens), places.parse(where, base))
        return Field(channel(name, tokens), (where,))
    where, *tokens = text.split() or [""]
    return Field(channel(name, tokens), (where,) if named and where else places.parse(where, base))


def channel(name: str, tokens: Sequence[str]) -> Channel:
    """Unit, scale and offset in any order. Raises ValueError."""
    found: dict[str, object] = {}
    for token in tokens:
        if (factor := entries.scale(token)) is not None:
            key, value = "scale", factor
        elif (summand := entries.offset(token)) is not None:
            key, value = "offset", summand
        else:
            key, value = "unit", units.unit(token)  # type: ignore[assignment]
        if key in found:
            raise ValueError(f"it has two {key}s")
        found[key] = value
    return Channel(name, **found)  # type: ignore[arg-type]


def first(form: Form) -> int:
    """What the first item of a list is called: people count cells from 1, JSON counts from 0."""
    return 1 if form.payload in ("text", "pairs", "binary") else 0


def item(form: Form) -> np.dtype[np.generic]:
    try:
        dtype = np.dtype(form.dtype)
    except TypeError:
        raise ValueError(f"{form.dtype!r} is no dtype, such as <i2 or >f4") from None
    if dtype.str[1:] not in DTYPES:
        raise ValueError(f"{form.dtype!r} is none of integer or float, 1 to 8 bytes")
    return dtype


def pattern(form: Form) -> re.Pattern[str]:
    try:
        compiled = re.compile(form.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the pattern is no regular expression: {error}") from None
    if not compiled.groups:
        raise ValueError("the pattern has no group, such as (?P<temp>[-0-9.]+)")
    return compiled
