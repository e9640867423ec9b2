"""The configuration of StreamUpload."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id, Site
from edgeloop.config.quantities import Duration, Rate, Size, bounded
from edgeloop.health import Metrics
from edgeloop.plugins import Plugins

POLICIES: Final = ("all", "none", "windows", "alarms")

Rank = Annotated[int, Meta(ge=1, le=10)]


class Capture(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which samples of a stream go up."""

    policy: Annotated[
        str,
        Meta(
            title="Policy",
            description="all, none, or one or both of: windows (routine), alarms (windows around alarms)",
        ),
    ] = "all"
    length: Annotated[Duration, bounded("Length", "length of a routine window", ge="10 ms")] = Duration("10 s")
    every: Annotated[Duration, bounded("Every", "from one routine window to the next", ge="1 s")] = Duration("1 h")
    before: Annotated[Duration, bounded("Before", "captured before an alarm", le="1 min")] = Duration("10 s")
    after: Annotated[Duration, bounded("After", "captured after an alarm", le="1 h")] = Duration("10 s")
    monitors: Annotated[
        str,
        Meta(title="Monitors", description="monitors whose alarms count, separated by blanks; empty: the stream's own"),
    ] = ""

    def __post_init__(self) -> None:
        words = self.words
        if not words or not words <= set(POLICIES):
            raise ValueError(f"policy {self.policy!r} is none of {', '.join(POLICIES)}")
        if len(words) > 1 and words & {"all", "none"}:
            raise ValueError(f"policy {self.policy!r}: {min(words & {'all', 'none'})} stands alone")

    @property
    def words(self) -> set[str]:
        return set(self.policy.replace(",", " ").split())


class Fast(Capture, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of streams that `capture` does not name."""

    policy: Annotated[
        str, Meta(title="Policy", description="as in `capture`; 25.6 kHz of 3 channels are 13 GB a day")
    ] = "windows alarms"


class Priorities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    records: Annotated[Rank, Meta(title="Records", description="results and alarms")] = 1
    files: Annotated[Rank, Meta(title="Files", description="hard examples and other files of components")] = 3
    samples: Annotated[Rank, Meta(title="Samples", description="samples and what is declared about them")] = 7


Percent = Annotated[str, Meta(pattern=r"^(100|[1-9]?[0-9]) ?%$")]


class Shares(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the disk and of a day's bytes."""

    records: Annotated[Percent, Meta(title="Records", description="of `disk`: those that wait as files")] = "20%"
    files: Annotated[Percent, Meta(title="Files", description="of `day`; their owners keep them on the disk")] = "30%"
    samples: Annotated[Percent, Meta(title="Samples", description="of `disk` and of `day`")] = "50%"

    def __post_init__(self) -> None:
        if sum(map(self.of, ("records", "files", "samples"))) > 1:
            raise ValueError("the shares are more than 100 % together")

    def of(self, kind: str) -> float:
        """
        >>> Shares().of("files")
        0.3
        """
        return int(str(getattr(self, kind)).removesuffix("%")) / 100


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site = "plant"
    plugins: Plugins = ""
    metrics: Metrics = ""
    bucket: Annotated[
        str,
        Meta(
            title="Bucket",
            description="S3 bucket; empty: nothing is read or uploaded yet",
            pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        ),
    ] = ""
    prefix: Annotated[
        str,
        Meta(
            title="Prefix", description="begin of every key in the bucket", pattern=r"^[A-Za-z0-9_.:/=-]{0,256}$"
        ),
    ] = ""
    kinesis: Annotated[
        str,
        Meta(
            title="Kinesis",
            description="Kinesis stream for results and alarms; empty: they go to the bucket as JSON lines",
            pattern=r"^[a-zA-Z0-9_.-]{0,128}$",
        ),
    ] = ""
    capture: Annotated[
        dict[Id, Capture], Meta(title="Capture", description="which samples of a stream go up, by stream")
    ] = {}
    slow: Annotated[
        Rate, Meta(title="Slow", description="streams that `capture` does not name go up whole up to this rate")
    ] = Rate("100 Hz")
    fast: Annotated[Fast, Meta(title="Fast", description="and are captured like this above it")] = Fast()
    indicators: Annotated[
        Duration,
        bounded("Indicators", "block of the indicators that always go up of faster streams; 0: none", le="1 min"),
    ] = Duration("1 s")
    every: Annotated[Duration, bounded("Every", "samples of one file; limits are those of the clock", ge="1 s")] = (
        Duration("15 min")
    )
    file: Annotated[
        Size, Meta(title="File", description="samples of one file, in memory", extra={"ge": "64 KiB", "le": "256 MiB"})
    ] = Size("16 MiB")
    disk: Annotated[
        Size,
        Meta(
            title="Disk",
            description="files that wait for upload; beyond it samples stay in the journal",
            extra={"ge": "1 MiB"},
        ),
    ] = Size("1 GiB")
    bandwidth: Annotated[
        Size, Meta(title="Bandwidth", description="bytes a second handed over for upload; 0: no limit")
    ] = Size("0 B")
    day: Annotated[
        Size,
        Meta(title="Day", description="bytes handed over for upload within 24 hours; 0: no limit; records always go"),
    ] = Size("0 B")
    order: Annotated[
        str,
        Meta(
            title="Order",
            description="of files of a priority: backlog, the oldest first, or live, the newest first",
            pattern=r"^(backlog|live)$",
        ),
    ] = "backlog"
    shares: Annotated[Shares, Meta(title="Shares", description="of `disk` and `day`, by kind")] = Shares()
    priorities: Annotated[
        Priorities, Meta(title="Priorities", description="of exports, 1 is the first to go")
    ] = Priorities()
    destinations: Annotated[
        dict[str, Any],
        Meta(title="Destinations", description="where records go as well, by id; keys as the type's README says"),
    ] = {}
    streams: Annotated[
        str,
        Meta(
            title="Streams",
            description="begin of the names of the streams in Stream Manager",
            pattern=r"^[A-Za-z0-9_-]{1,200}$",
        ),
    ] = "edgeloop"

    def policy(self, stream: str, rate: float | None) -> Capture:
        """Of a stream. rate: samples a second, None where each sample brings its time."""
        named = self.capture.get(stream)
        if named is not None:
            return named
        return Capture() if rate is None or rate <= self.slow else self.fast
