"""The parts of a manifest that say how outputs are read, what a score is worth, and what pictures are usually like."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DecoderName = Literal[
    "boxes", "yolo", "yolo_end", "ssd", "points", "centernet", "classification", "segmentation", "one_class",
    "memory_bank", "embedding", "keypoints",
]  # fmt: skip
Form = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Activation = Literal["none", "sigmoid", "softmax"]
Share = Annotated[float, Meta(ge=0, le=1)]
COLUMNS, LINES = 8, 6
"""Fields of a picture's scene."""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """decoder: see edgeloop.models.decoders; roles: which of the manifest's outputs is what to it.

    form, units: of boxes; units are pixels of the input or shares of it. activation: what makes scores of the values.
    objectness: a column before the classes that multiplies them. background: the class that means nothing, −1 none; it
    has no label. channels_first: a row is an attribute, not a box. masks: coefficients at the end of each row. points:
    keypoints of each box, with `dimensions` numbers each. strides: pixels of the input between two cells, finest first.
    sizes: sides in pixels of the prior boxes of each stride, (width, height) pairs. variances: of centre and size.
    overlap: from which the weaker of two boxes of one class is left out; 1: the model has done so. least: score under
    which nothing is believed. most: boxes kept. exclusive: whether the classes exclude each other. file: memory bank,
    gallery or priors. neighbours: of the memory bank or the gallery.
    """

    decoder: DecoderName
    roles: dict[str, str] = {}
    form: Form = "xyxy"
    units: Literal["pixels", "shares"] = "pixels"
    activation: Activation = "none"
    objectness: bool = False
    background: Annotated[int, Meta(ge=-1)] = -1
    channels_first: bool = False
    masks: Annotated[int, Meta(ge=0, le=1024)] = 0
    points: Annotated[int, Meta(ge=0, le=1024)] = 0
    dimensions: Annotated[int, Meta(ge=2, le=3)] = 3
    strides: tuple[Annotated[int, Meta(ge=1, le=1024)], ...] = ()
    sizes: tuple[tuple[tuple[float, float], ...], ...] = ()
    variances: tuple[float, float] = (0.1, 0.2)
    overlap: Share = 0.45
    least: Share = 0.05
    most: Annotated[int, Meta(ge=1, le=10_000)] = 300
    exclusive: bool = True
    file: Annotated[str, Meta(max_length=100)] = ""
    neighbours: Annotated[int, Meta(ge=1, le=1000)] = 1


class Confidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The chance that a picture is bad, from its score: 1 / (1 + exp(−(slope · logit(score) + offset))), fitted on
    pictures that the model was not trained on (Platt)."""

    slope: Annotated[float, Meta(gt=0)]
    offset: float
    pictures: Annotated[int, Meta(ge=1)]


class Spread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a number was usually: least, middle, most."""

    low: float
    middle: float
    high: float


class Pictures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What pictures that show what they should are like. likeness: of their scenes to the mean `scene`, −1 to 1."""

    count: Annotated[int, Meta(ge=1)]
    brightness: Spread
    contrast: Spread
    sharpness: Spread
    grain: Spread
    likeness: Spread
    scene: Annotated[tuple[float, ...], Meta(min_length=COLUMNS * LINES, max_length=COLUMNS * LINES)]
