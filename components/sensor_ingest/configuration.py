"""The configuration of SensorIngest. What a source takes is in the folder of its type."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id, Site
from edgeloop.config.quantities import Duration, Rate, Size
from edgeloop.health import Metrics
from edgeloop.plugins import Plugins


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    segment: Annotated[
        Size,
        Meta(title="Segment", description="size at which a file is sealed", extra={"ge": "64 KiB", "le": "1 GiB"}),
    ] = Size("16 MiB")
    budget: Annotated[
        Size,
        Meta(title="Budget", description="disk space of all files; the oldest go first", extra={"ge": "1 MiB"}),
    ] = Size("2 GiB")
    sync: Annotated[
        Duration,
        Meta(
            title="Sync",
            description="what a power cut can take; a process death takes nothing",
            extra={"ge": "10 ms", "le": "1 min"},
        ),
    ] = Duration("1 s")


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site = "plant"
    metrics: Metrics = ""
    plugins: Plugins = ""
    tick: Annotated[
        Duration,
        Meta(
            title="Tick",
            description="how often samples are journalled and announced; where no source has actions 200 ms, "
            "unless said",
            extra={"ge": "5 ms", "le": "10 s"},
        ),
    ] = Duration("50 ms")
    journal: Annotated[Journal, Meta(title="Journal", description="the files that hold every sample")] = Journal()
    mirror: Annotated[
        dict[Id, Annotated[Rate, Meta(title="Rate", description="most messages a second", extra={"le": "10 Hz"})]],
        Meta(title="Mirror", description="streams whose newest sample goes to `edgeloop/mirror/<stream>` as JSON"),
    ] = {}
    sources: Annotated[
        dict[str, Any],
        Meta(title="Sources", description="where samples come from, by id; keys as the type's README says"),
    ] = {}
