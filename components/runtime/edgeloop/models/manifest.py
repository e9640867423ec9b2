"""`manifest.json` of a model package."""

from __future__ import annotations

import hashlib
import platform
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.decode import OWN, document
from edgeloop.errors import DecodeError
from edgeloop.models.archive import is_name
from edgeloop.models.errors import ModelRefused, Reason
from edgeloop.models.head import Confidence, Head, Pictures

SCHEMA: Final = 2
"""Of manifests that are written; those of 1 are read."""
LARGEST: Final = 1 << 20
"""Bytes of a manifest."""

RuntimeName = Literal["onnxruntime", "dlr", "openvino", "tensorrt"]
"""Of variants; a device takes those that it is allowed. Folders: dlr's, and OpenVINO's IR (model.xml, model.bin)."""
FOLDERS: Final = ("dlr", "openvino")
Architecture = Literal["any", "x86_64", "amd64", "aarch64", "arm64", "armv7l"]
SYNONYMS: Final = {"amd64": "x86_64", "arm64": "aarch64"}
"""What recipes and containers call them, and what the kernel does."""
Task = Literal[
    "anomaly", "classification", "detection", "segmentation", "one_class", "regression", "embedding", "keypoints",
]  # fmt: skip
DType = Literal["float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "int64", "bool"]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(max_length=10_000)]
Version = Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?$", max_length=64)]
Extent = Annotated[int, Meta(ge=1, le=2**31)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class File(_Part, frozen=True, kw_only=True):
    """sha256: of its content, hexadecimal digits. size: bytes."""

    sha256: Digest
    size: Annotated[int, Meta(ge=0)]


class Tensor(_Part, frozen=True, kw_only=True):
    """shape: extents; a text is an extent that each run chooses (onnxruntime only)."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    dtype: DType
    shape: tuple[Extent | Annotated[str, Meta(min_length=1, max_length=64)], ...]

    def fits(self, array: np.ndarray[Any, Any]) -> str | None:
        """Why an array is not this tensor, or None.

        >>> Tensor(name="x", dtype="float32", shape=("n", 3)).fits(np.zeros((5, 4), np.float32))
        'x has shape (5, 4), (n, 3) is expected'
        """
        if array.dtype != np.dtype(self.dtype):
            return f"{self.name} has type {array.dtype}, {self.dtype} is expected"
        pairs = zip(array.shape, self.shape, strict=False)
        if len(array.shape) != len(self.shape) or any(isinstance(want, int) and have != want for have, want in pairs):
            wanted = ", ".join(map(str, self.shape))
            return f"{self.name} has shape {array.shape}, ({wanted}) is expected"
        return None


class Variant(_Part, frozen=True, kw_only=True):
    """One form of the model. path: the file or the folder in the package. metrics: where they differ from the model's
    own, as for a quantized form. golden: tolerances of its own; None: the model's."""

    runtime: RuntimeName
    path: Annotated[str, Meta(min_length=1, max_length=100)]
    architecture: Architecture = "any"
    precision: Literal["float32", "float16", "int8", "mixed"] = "float32"
    metrics: dict[str, float] = {}
    golden: Golden | None = None

    def holds(self, name: str) -> bool:
        """Whether a file of the package belongs to it."""
        return name == self.path or name.startswith(self.path + "/")


class Statistics(_Part, frozen=True, kw_only=True):
    """A channel's healthy values in training, physical units. quantiles: at equal steps of probability from 0 (the
    least) to 1 (the largest), for example deciles: drift is how unevenly today's values fall between them. usual: the
    largest such unevenness that healthy values after the training reached, as population stability index."""

    mean: float
    deviation: Annotated[float, Meta(ge=0)]
    quantiles: Annotated[tuple[float, ...], Meta(min_length=3, max_length=101)]
    usual: Annotated[float, Meta(ge=0)] = 0.0


class Window(_Part, frozen=True, kw_only=True, tag_field="kind", tag="window"):
    """A window of samples (samples × channels), physical units; mean and scale are subtracted and divided by channel
    before the model sees it (empty: the graph does that). rate: Hz. hop: samples between two windows. statistics: of
    the channels, in their order; empty: not known."""

    input: str
    samples: Extent
    channels: tuple[str, ...]
    rate: Annotated[float, Meta(gt=0)]
    hop: Extent = 1
    units: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    statistics: tuple[Statistics, ...] = ()


class Image(_Part, frozen=True, kw_only=True, tag_field="kind", tag="image"):
    """An image; values are 0..255 divided by `scale` and then, by channel, (value - mean) / deviation (empty: the graph
    does that)."""

    input: str
    width: Extent
    height: Extent
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    fit: Literal["stretch", "letterbox", "crop"] = "stretch"
    scale: Annotated[float, Meta(gt=0)] = 255.0
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()


class Golden(_Part, frozen=True, kw_only=True):
    """Inputs and the outputs that every variant must give for them, in `golden.npz`; absolute + relative × |expected|
    is the largest difference allowed. agreement: the part of cases in which this must hold."""

    absolute: Annotated[float, Meta(ge=0)] = 1e-4
    relative: Annotated[float, Meta(ge=0)] = 1e-4
    agreement: Annotated[float, Meta(gt=0, le=1)] = 1.0


class Calibration(_Part, frozen=True, kw_only=True):
    """scores, ascending, and the return time (log10 s between false alarms at this score) of each."""

    scores: tuple[float, ...] = ()
    return_times: tuple[float, ...] = ()
    temperature: Annotated[float, Meta(gt=0)] = 1.0


class Provenance(_Part, frozen=True, kw_only=True):
    """trained_at: RFC 3339. code, data: a revision or digest and what it is of. parent: digest of the package it was
    trained from. made_on: the thing that made it, where a device did: it is for that one alone."""

    trained_at: str = ""
    code: Text = ""
    data: Text = ""
    seed: int | None = None
    tools: dict[str, str] = {}
    parent: Digest | None = None
    made_on: Annotated[str, Meta(max_length=256)] = ""


class Card(_Part, frozen=True, kw_only=True):
    """For people: what it is for, what not, under which licence."""

    description: Text = ""
    use: Text = ""
    limits: Text = ""
    licence: Text = ""


class Manifest(_Part, frozen=True, kw_only=True):
    """A model package. files: all files but the manifest and its signature, by name. variants: best first.
    Schema 2 adds head: how the outputs are read; confidence: what a score is worth; pictures: what those of the
    training were like; golden of a variant."""

    schema: Literal[1, 2]
    name: Id
    version: Version
    task: Task
    files: Annotated[dict[str, File], Meta(min_length=1, max_length=250)]
    variants: Annotated[tuple[Variant, ...], Meta(min_length=1, max_length=16)]
    inputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=16)]
    outputs: Annotated[tuple[Tensor, ...], Meta(min_length=1, max_length=16)]
    golden: Golden
    preprocessing: tuple[Window | Image, ...] = ()
    labels: tuple[str, ...] = ()
    thresholds: dict[str, float] = {}
    calibration: Calibration = Calibration()
    metrics: dict[str, float] = {}
    provenance: Provenance = Provenance()
    card: Card = Card()
    head: Head | None = None
    confidence: Confidence | None = None
    pictures: Pictures | None = None

    def __post_init__(self) -> None:
        if GOLDEN not in self.files:
            raise ValueError(f"files has no {GOLDEN}")
        for name in self.files:
            if not is_name(name) or name in (MANIFEST, SIGNATURE):
                raise ValueError(f"files: {name!r} is no name for a file of a package")
        for variant in self.variants:
            if not any(variant.holds(name) for name in self.files):
                raise ValueError(f"variants: {variant.path!r} is not among files")
            if (variant.runtime in FOLDERS) == (variant.path in self.files):
                kind = "folder" if variant.runtime in FOLDERS else "file"
                raise ValueError(f"variants: {variant.path!r} is a {kind} for {variant.runtime}")
        inputs = {tensor.name for tensor in self.inputs}
        if len(inputs) < len(self.inputs):
            raise ValueError("inputs: a name is there twice")
        if unknown := [p.input for p in self.preprocessing if p.input not in inputs]:
            raise ValueError(f"preprocessing: {unknown[0]!r} is no input")
        outputs = {tensor.name for tensor in self.outputs}
        if self.head is not None and (lost := sorted(set(self.head.roles.values()) - outputs)):
            raise ValueError(f"head: {lost[0]!r} is no output")
        if self.head is not None and self.head.file and self.head.file not in self.files:
            raise ValueError(f"head: {self.head.file!r} is not among files")
        if self.schema == 1 and (self.head or self.confidence or self.pictures):
            raise ValueError("schema: head, confidence and pictures need 2")
        if self.schema == 1 and any(v.golden or v.runtime not in ("onnxruntime", "dlr") for v in self.variants):
            raise ValueError("schema: a variant's own golden tolerances, openvino and tensorrt need 2")
        if len(self.calibration.scores) != len(self.calibration.return_times):
            raise ValueError("calibration: as many scores as return times")

    def candidates(self, runtimes: tuple[str, ...], machine: str | None = None) -> tuple[Variant, ...]:
        """The variants for this machine and these runtimes, best first."""
        machine = machine or platform.machine()
        fit = {"any", SYNONYMS.get(machine, machine)}
        named = ((v, SYNONYMS.get(v.architecture, v.architecture)) for v in self.variants)
        return tuple(v for v, architecture in named if v.runtime in runtimes and architecture in fit)

    def tolerance(self, variant: Variant) -> Golden:
        """How far a variant's outputs may be from the golden set's."""
        return variant.golden or self.golden

    def encode(self) -> bytes:
        """The canonical bytes: sorted keys, no defaults, indented, each number in its field's type."""
        typed = msgspec.convert(msgspec.to_builtins(self), Manifest)
        return msgspec.json.format(msgspec.json.encode(typed, order="sorted"), indent=1) + b"\n"


MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
GOLDEN: Final = "golden.npz"


def decode(data: bytes, where: str = MANIFEST) -> Manifest:
    """Raises ModelRefused naming the field that does not fit, and where the bytes are not the canonical ones."""
    try:
        manifest = document(data, Manifest, bounds=OWN)
    except DecodeError as error:
        raise ModelRefused("the manifest is not valid", Reason.MANIFEST, where=where, why=error.why) from None
    if msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n" != data:
        raise ModelRefused(
            "the manifest is not in its canonical form", Reason.MANIFEST, where=where, mend="use Manifest.encode"
        )
    return manifest


def describe(content: bytes) -> File:
    """A file's line of a manifest."""
    return File(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
