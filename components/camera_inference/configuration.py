"""The configuration of CameraInference. What a URI takes behind its question mark is in the folder of its type."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from camera_inference.zones import Zone
from edgeloop.config.identifiers import Id, Site
from edgeloop.config.quantities import Duration, Rate, Size
from edgeloop.fleet.settings import Fleet
from edgeloop.health import Metrics
from edgeloop.join import Condition
from edgeloop.opinions.settings import Opinion
from edgeloop.plugins import Plugins
from edgeloop.secret import Arn
from edgeloop.video.settings import Video

Policy = Literal["latest", "every"]
Share = Annotated[float, Meta(ge=0, le=1)]
DEFAULT_MODEL = "visual_inspection"
RING = Size("64 MiB")
"""Of a camera with video, where the line says nothing."""
LEAST_DEADLINE = 100_000_000
"""ns: two ticks of the samples."""


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command to a source of SensorIngest."""

    source: Annotated[Id, Meta(title="Source", description="source of SensorIngest whose write-back acts")]
    target: Annotated[
        str, Meta(title="Target", description="name of the action in that source", min_length=1, max_length=64)
    ]
    value: Annotated[float, Meta(title="Value", description="what is written")] = 1.0
    expires: Annotated[Duration, Meta(title="Expires", description="age at which the action is refused")] = Duration(
        "2 s"
    )
    armed: Annotated[bool, Meta(title="Armed", description="false: the source only reports what it would do")] = False


class Examples(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images that are worth a label."""

    below: Annotated[
        float, Meta(title="Below", description="confidence under which an image is kept for labelling", ge=0, le=1)
    ] = 0.8
    margin: Annotated[
        float, Meta(title="Margin", description="between the two likeliest labels, under which too; 0: no", ge=0, le=1)
    ] = 0.0
    entropy: Annotated[
        float, Meta(title="Entropy", description="of the labels, 1: all alike, over which too; 0: no", ge=0, le=1)
    ] = 0.0
    novelty: Annotated[
        float,
        Meta(title="Novelty", description="how unlike the usual, 1: at the edge, from which too; 0: no", ge=0, le=10),
    ] = 0.0
    random: Annotated[
        str,
        Meta(
            title="Random",
            description="share of all images, whatever the model says: the true rate of errors",
            pattern=r"^(100|[1-9]?[0-9](\.[0-9]+)?) ?%$",
        ),
    ] = "1%"
    alike: Annotated[
        float, Meta(title="Alike", description="likeness to a kept one over which it is left out; 0: none", ge=0, le=1)
    ] = 0.985
    bytes: Annotated[Size, Meta(title="Bytes", description="of images kept within a day; 0: any")] = Size("200 MB")
    most: Annotated[
        int, Meta(title="Most per hour", description="images kept within an hour; 0: none", ge=0, le=100_000)
    ] = 60
    quality: Annotated[int, Meta(title="Quality", description="of the JPEG files", ge=50, le=100)] = 95


    @property
    def share(self) -> float:
        """
        >>> Examples(random="0.5 %").share
        0.005
        """
        return float(self.random.rstrip(" %")) / 100


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pictures that show nothing are unknown, whatever the model would say. Of full scale: 0..1."""

    dark: Annotated[float, Meta(title="Dark", description="mean brightness under which it is dark", ge=0, le=1)] = 0.02
    bright: Annotated[
        float, Meta(title="Bright", description="mean brightness over which it is overexposed", ge=0, le=1)
    ] = 0.98
    contrast: Annotated[
        float, Meta(title="Contrast", description="deviation under which it shows nothing", ge=0, le=1)
    ] = 0.01
    noise: Annotated[
        float, Meta(title="Noise", description="share of noise over which it shows nothing else", ge=0, le=1)
    ] = 0.75
    smallest: Annotated[int, Meta(title="Smallest", description="pixels that each side has at least", ge=1)] = 32
    frozen: Annotated[
        Duration,
        Meta(title="Frozen", description="how long a live picture may be the same; 0: for ever", extra={"le": "1 h"}),
    ] = Duration("3 s")
    usual: Annotated[
        bool, Meta(title="Usual", description="pictures unlike the model's and this camera's own are unknown")
    ] = True


class Pulses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parts by a counter, such as an encoder's on the belt."""

    stream: Annotated[
        str, Meta(title="Stream", description='the counter: "enc.count"', min_length=3, max_length=128)
    ]
    every: Annotated[float, Meta(title="Every", description="counts from part to part", gt=0)]

    def __post_init__(self) -> None:
        _column(self.stream, "pulses.stream")


class Redact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is made unrecognisable before a picture is kept, shown or sent."""

    labels: Annotated[
        str, Meta(title="Labels", description="of a detector, separated by blanks: face plate", max_length=256)
    ] = ""
    zones: Annotated[
        str, Meta(title="Zones", description="names of `zones`, separated by blanks", max_length=256)
    ] = ""


class Camera(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One camera: frames in, verdicts out."""

    uri: Annotated[
        str,
        Meta(
            title="URI",
            description='"simulator:?seed=7", "/images", "/clip.mp4", "rtsp://camera/stream", "/dev/video0"',
            min_length=1,
            max_length=512,
        ),
    ]
    credentials_file: Annotated[
        str,
        Meta(
            title="Credentials file",
            description="file of the device with `user:password` of a camera of the network, not readable by all",
            max_length=512,
        ),
    ] = ""
    credentials_secret: Annotated[
        Arn, Meta(title="Credentials secret", description="in its place, on classic: the ARN in Secrets Manager")
    ] = ""
    patience: Annotated[
        Duration,
        Meta(
            title="Patience",
            description="time without a frame after which a camera of the network is connected to anew",
            extra={"ge": "100 ms", "le": "10 min"},
        ),
    ] = Duration("5 s")
    transport: Annotated[
        Literal["tcp", "udp"], Meta(title="Transport", description="of RTSP: tcp loses nothing, udp waits for nothing")
    ] = "tcp"
    asset: Annotated[str, Meta(title="Asset", description="the machine it looks at", max_length=64)] = ""
    policy: Annotated[
        Policy, Meta(title="Policy", description="latest: the newest frame; every: exactly one verdict for each part")
    ] = "latest"
    model: Annotated[
        Id | Literal[""],
        Meta(title="Model", description="name of the model; empty: nothing is judged (simulator: visual_inspection)"),
    ] = ""
    region: Annotated[
        str,
        Meta(title="Region", description='part of the image that is used: "x y width height", each 0..1; empty: all'),
    ] = ""
    rate: Annotated[
        Rate, Meta(title="Rate", description="most frames a second inferred (latest), asked for (snapshot); 0: all")
    ] = Rate(0)
    deadline: Annotated[
        Duration,
        Meta(title="Deadline", description="age at which a part is unknown (every)", extra={"ge": "1 ms", "le": "1 h"}),
    ] = Duration("500 ms")
    trigger: Annotated[
        str,
        Meta(
            title="Trigger",
            description='a part each time this begins to hold: "press7_plc.part_present", "press7_plc.step = 4"',
            max_length=128,
        ),
    ] = ""
    pulses: Annotated[Pulses | None, Meta(title="Pulses", description="a part each so many counts")] = None
    delay: Annotated[
        Duration, Meta(title="Delay", description="from the trigger until the part is in view", extra={"le": "1 min"})
    ] = Duration(0)
    part: Annotated[
        str, Meta(title="Part", description='what the part is called: "press7_plc.part_id"', max_length=128)
    ] = ""
    queue: Annotated[int, Meta(title="Queue", description="frames that may wait (every)", ge=1, le=1000)] = 8
    motion: Annotated[
        float,
        Meta(
            title="Motion",
            description="share of a picture that has to change for it to be inferred anew (latest); 0: each is",
            ge=0, le=1,
        ),
    ] = 0.0
    zones: Annotated[
        dict[Id, str],
        Meta(
            title="Zones",
            description='"polygon 0.1,0.2 0.4,0.2 0.4,0.9", "line 0,0.5 1,0.5": where things are counted, or hidden',
        ),
    ] = {}
    track: Annotated[
        bool, Meta(title="Track", description="things that a detector finds are followed, and counted at `zones`")
    ] = False
    mask: Annotated[
        str, Meta(title="Mask", description="names of `zones` that the model is not shown", max_length=256)
    ] = ""
    redact: Annotated[Redact | None, Meta(title="Redact", description="what no picture shows that is kept or sent")] = (
        None
    )
    stream: Annotated[
        bool, Meta(title="Stream", description="counts and rates as samples: `<camera>_counts`, once a second")
    ] = False
    accept: Annotated[
        str, Meta(title="Accept", description="labels that pass, separated by blanks", max_length=256)
    ] = "good"
    threshold: Annotated[
        float | None, Meta(title="Threshold", description="score from which it fails; absent: the model's own")
    ] = None
    certain: Annotated[
        float, Meta(title="Certain", description="confidence under which the verdict is unknown", ge=0, le=1)
    ] = 0.0
    reject: Annotated[Act | None, Meta(title="Reject", description="what a part that fails fires")] = None
    safe: Annotated[Act | None, Meta(title="Safe", description="what a part that is unknown fires")] = None
    pictures: Annotated[Limits, Meta(title="Pictures", description="what a picture must show to be judged")] = Limits()
    ring: Annotated[
        Size,
        Meta(
            title="Ring",
            description="memory, or disk, of the last pictures as they came, for clips; 0: none",
            extra={"le": "64 GiB"},
        ),
    ] = Size(0)
    examples: Annotated[Examples, Meta(title="Examples", description="images kept for labelling")] = Examples()
    opinion: Annotated[
        Opinion | None,
        Meta(title="Opinion", description="a second opinion of a model elsewhere; VideoUpload calls it"),
    ] = None
    video: Annotated[
        Video | None, Meta(title="Video", description="its video, up; VideoUpload sends it")
    ] = None

    def __post_init__(self) -> None:
        area(self.region)
        self._check_triggers()
        self._check_zones()
        if self.policy == "latest" and (self.reject or self.safe):
            raise ValueError("reject and safe act on parts: they need policy: every")
        opinion = self.opinion
        if opinion is not None and opinion.mode == "wait" and self.policy == "latest":
            raise ValueError("opinion.mode: wait holds the verdict of a part: it needs policy: every")
        if opinion is not None and self.waits and opinion.deadline >= self.deadline:
            raise ValueError(
                f"opinion.deadline: {opinion.deadline} is no shorter than the part's own deadline, {self.deadline}: "
                "nothing is left for the edge's verdict"
            )

    def _check_triggers(self) -> None:
        for text in filter(None, (self.trigger, self.part)):
            Condition.parse(text)
        if self.part:
            _column(self.part, "part")
        if self.trigger and self.pulses:
            raise ValueError("trigger and pulses both announce parts: take one")
        if not self.triggered:
            if self.part or self.delay:
                raise ValueError("part and delay belong to a trigger, or to pulses")
            return
        if self.policy == "latest":
            raise ValueError("trigger and pulses announce parts: they need policy: every")
        if self.deadline < LEAST_DEADLINE:
            raise ValueError(f"deadline: {self.deadline} is shorter than two ticks, 100 ms, that a trigger may take")

    def _check_zones(self) -> None:
        areas = {name: Zone.parse(text) for name, text in self.zones.items()}
        hidden = [("mask", self.mask)] + ([("redact.zones", self.redact.zones)] if self.redact else [])
        for where, names in hidden:
            for name in names.replace(",", " ").split():
                if name not in areas or areas[name].form != "polygon":
                    raise ValueError(f"{where}: {name} is no polygon of zones")

    @property
    def triggered(self) -> bool:
        """Whether something else announces the parts."""
        return bool(self.trigger or self.pulses)

    @property
    def judged_by(self) -> str:
        """The model's name, or "". The one that came along knows the simulated parts alone."""
        return self.model or (DEFAULT_MODEL if self.uri.startswith("simulator:") else "")

    @property
    def kept(self) -> Size:
        """Of the ring: what is said, else enough for `video`."""
        return self.ring or (RING if self.video is not None else self.ring)

    @property
    def waits(self) -> bool:
        """Whether verdicts are held for a second opinion."""
        return self.opinion is not None and (self.opinion.mode or "wait") == "wait" and self.policy == "every"


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Site = "plant"
    metrics: Metrics = ""
    plugins: Plugins = ""
    cameras: Annotated[dict[Id, Camera], Meta(title="Cameras", description="what is looked at, by id")] = {}
    fleet: Annotated[
        Fleet | None, Meta(title="Fleet", description="what analyses over many sites find of a line without monitors")
    ] = None
    threads: Annotated[int, Meta(title="Threads", description="of one inference", ge=1, le=64)] = 1
    memory: Annotated[
        Size, Meta(title="Memory", description="of all models", extra={"ge": "16 MiB", "le": "64 GiB"})
    ] = Size("512 MiB")
    upload: Annotated[
        Size,
        Meta(
            title="Upload",
            description="disk space of results and examples that wait for their upload; the oldest go first",
            extra={"ge": "1 MiB"},
        ),
    ] = Size("256 MiB")


def _column(text: str, where: str) -> None:
    """Raises ValueError where it is no column alone."""
    found = Condition.parse(text)
    if found.negated or found.operator:
        raise ValueError(f"{where}: {text!r} is no column, such as press7_plc.part_id")


def area(text: str) -> tuple[float, float, float, float]:
    """x, y, width and height as shares of the image. Raises ValueError.

    >>> area(""), area("0.1 0.1 0.8 0.5")
    ((0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.8, 0.5))
    """
    if not text.strip():
        return 0.0, 0.0, 1.0, 1.0
    try:
        x, y, width, height = (float(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"region: {text!r} is no area, such as 0.1 0.1 0.8 0.8") from None
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1.001 - x and 0 < height <= 1.001 - y):
        raise ValueError(f"region: {text!r} is not within the image, 0..1")
    return x, y, width, height
