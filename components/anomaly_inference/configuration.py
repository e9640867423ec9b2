"""The configuration of AnomalyInference."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from edgeloop.alarms import AlarmSettings, Severity
from edgeloop.config.identifiers import Id, Site, is_id
from edgeloop.config.quantities import Budget, Duration, Learning, Rate, Size
from edgeloop.detect.sensor import Range
from edgeloop.errors import ConfigurationError
from edgeloop.fleet.settings import Fleet
from edgeloop.health import Metrics
from edgeloop.join import Condition
from edgeloop.limits import Limit
from edgeloop.plugins import Plugins
from edgeloop.rules import Rule

Multiple = Annotated[float, Meta(gt=0, le=1000)]


class Monitor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing watched: streams in, a score and alarms out."""

    asset: Annotated[Id, Meta(title="Asset", description="the machine the alarms are about")]
    input: Annotated[
        str,
        Meta(
            title="Input",
            description="stream; further streams, separated by blanks, are joined as of its times",
            min_length=1,
        ),
    ]
    channels: Annotated[str, Meta(title="Channels", description="channels used, separated by blanks; empty: all")] = ""
    when: Annotated[
        str,
        Meta(title="When", description='score only while this holds: "press1_plc.running", "press1_slow.speed > 100"'),
    ] = ""
    per: Annotated[
        str, Meta(title="Per", description='a baseline for each value of this column: "press1_plc.product"')
    ] = ""
    tolerance: Annotated[Duration, Meta(title="Tolerance", description="oldest value that is still joined")] = Duration(
        "5 s"
    )
    settle: Annotated[
        Duration, Meta(title="Settle", description="time after a start or a change of product not scored")
    ] = Duration("2 s")
    learn: Annotated[
        Learning,
        Meta(
            title="Learn",
            description="length of the learning window; auto: until 200 rows that are independent of each other and "
            "two visits of each state of the machine were seen; a minute at least, a day where rows are slower than "
            "10 s",
        ),
    ] = Learning("auto")
    shadow: Annotated[
        Duration, Meta(title="Shadow", description="time after learning with scores but without alarms")
    ] = Duration("0 s")
    memory: Annotated[Duration, Meta(title="Memory", description="how slowly the baseline follows the machine")] = (
        Duration("20 s")
    )
    block: Annotated[
        Duration,
        Meta(title="Block", description="samples scored at once, where the rate is 200 Hz or more; 0: each by itself"),
    ] = Duration("200 ms")
    confirm: Annotated[Duration, Meta(title="Confirm", description="how long the score must stay high to raise")] = (
        Duration("500 ms")
    )
    recover: Annotated[Duration, Meta(title="Recover", description="how long the score must stay low to clear")] = (
        Duration("1 s")
    )
    budget: Annotated[Budget, Meta(title="Budget", description="false alarms that are acceptable")] = Budget(
        "1 alarm/week"
    )
    adapt: Annotated[
        Duration | None,
        Meta(
            title="Adapt",
            description="after this long a steady abnormal state is no alarm any more but a new normal that is offered "
            "as a notice; 0: never; without it a twentieth of the budget's time, 24 rows or more, 2 days at most",
        ),
    ] = None
    detect: Annotated[
        str,
        Meta(
            title="Detect",
            description="events (single points, where each sample is scored) and conditions (what lasts: levels from "
            "2 Hz on, below that and without blocks states over many rows; either can be named), and detectors of "
            "your own, by the names of their plug-ins",
        ),
    ] = "events conditions"
    models: Annotated[
        str, Meta(title="Models", description="models that score beside the streaming detectors, separated by blanks")
    ] = ""
    severity: Annotated[Severity, Meta(title="Severity", description="severity of its process alarms")] = "medium"
    shaft: Annotated[Rate | None, Meta(title="Shaft", description="turns a second, for orders and bearing")] = None
    bearing: Annotated[
        dict[Id, Multiple],
        Meta(
            title="Bearing",
            description="characteristic frequencies as multiples of the shaft's: outer_race, inner_race, …",
        ),
    ] = {}
    range: Annotated[dict[str, str], Meta(title="Range", description='possible values by channel: "0..120"')] = {}
    gap: Annotated[Duration, Meta(title="Gap", description="silence of the stream that is an alarm; 0: never")] = (
        Duration("500 ms")
    )
    flat_line: Annotated[Duration, Meta(title="Flat line", description="constant value that is an alarm; 0: never")] = (
        Duration("1 s")
    )
    clock: Annotated[
        Duration, Meta(title="Clock", description="step of the time stamps that is an alarm; 0: never")
    ] = Duration("100 ms")

    def __post_init__(self) -> None:
        for text in (self.when, self.per):
            if text:
                Condition.parse(text)
        for channel, text in self.range.items():
            try:
                Range.parse(text)
            except ValueError as e:
                raise ValueError(f"range of {channel}: {e}") from None
        for name in self.detect.split():
            if not is_id(name) or name == "models":
                raise ValueError(f"detect: {name!r} is no name of a detector")
        if not self.detect.split() and not self.models.split():
            raise ValueError("detect and models: nothing looks at it")
        for name in self.models.split():
            if not is_id(name):
                raise ValueError(f"models: {name!r} is no name of a model")
        if self.bearing and self.shaft is None:
            raise ValueError("bearing needs shaft, the turns a second")


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site = "plant"
    metrics: Metrics = ""
    plugins: Plugins = ""
    monitors: Annotated[dict[Id, Monitor], Meta(title="Monitors", description="what is watched, by id")] = {}
    rules: Annotated[dict[Id, Rule], Meta(title="Rules", description="alarms that act, by id")] = {}
    limits: Annotated[
        dict[Id, Limit],
        Meta(title="Limits", description="thresholds and conditions that people set, by id; they need no monitor"),
    ] = {}
    alarms: Annotated[AlarmSettings, Meta(title="Alarms", description="how they are kept few")] = AlarmSettings()
    fleet: Annotated[
        Fleet | None, Meta(title="Fleet", description="what analyses over many sites find of this line")
    ] = None
    upload: Annotated[
        Size,
        Meta(
            title="Upload",
            description="disk space of results and alarms that wait for their upload; the oldest go first",
            extra={"ge": "1 MiB"},
        ),
    ] = Size("64 MiB")
    publish: Annotated[
        Duration,
        Meta(title="Publish", description="least time between two messages of results; unless said 1 s in calm"),
    ] = Duration("200 ms")
    save: Annotated[Duration, Meta(title="Save", description="time between two savings of what was learned")] = (
        Duration("10 s")
    )
    silence: Annotated[
        Duration,
        Meta(title="Silence", description="time without any samples at all after which the streams count as gone"),
    ] = Duration("5 s")


def assets(configuration: Configuration) -> set[str]:
    """Those that something watches."""
    monitors = {monitor.asset for monitor in configuration.monitors.values()}
    return monitors | {limit.asset for limit in configuration.limits.values()}


def orphans(configuration: Configuration) -> list[ConfigurationError]:
    """Rules whose monitor or limit does not exist."""
    return [
        ConfigurationError(
            "unknown monitor", where=f"rules.{name}.monitor", why=repr(rule.monitor), mend="name a monitor"
        )
        for name, rule in configuration.rules.items()
        if rule.monitor not in configuration.monitors and rule.monitor not in configuration.limits
    ]
