"""Frames of a picture that is drawn: `example_name:?width=320&height=240&frames=10`."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from camera_inference.sources.base import Options, Source


class Configuration(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    width: Annotated[int, Meta(title="Width", description="pixels", ge=32, le=4096)] = 320
    height: Annotated[int, Meta(title="Height", description="pixels", ge=32, le=4096)] = 240
    frames: Annotated[int, Meta(title="Frames", description="and then the end; 0: without end", ge=0)] = 0
    period: Annotated[float, Meta(title="Period", description="s from frame to frame", gt=0, le=60)] = 0.05


class ExampleCamera(Source[Configuration]):
    schemes = ("example_name",)
    options = Configuration

    def run(self) -> None:
        c = self.configuration
        number = 0
        while not c.frames or number < c.frames:
            image = np.full((c.height, c.width, 3), 90, np.uint8)
            at = number * 8 % c.width
            image[:, at : at + 8] = (200, 60, 60)
            if not self.outlet.put(image, "rgb", part=f"p{number}") or self.outlet.wait(c.period):
                return
            number += 1


SOURCE = ExampleCamera
