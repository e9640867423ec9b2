"""The frozen network whose features are compared: EfficientNet-Lite0 until stride 16, the same for every product."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models import optional
from edgeloop.models.errors import ModelError

FILE: Final = "backbone.onnx"
SHA256: Final = "bf15347871a7b3f1bd8a4b0857bdae8840863a7d3191663946c0dc7139744204"
STRIDE: Final = 16
"""Pixels that both sides of a picture are multiples of."""
Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@cache
def content() -> bytes:
    """The file: beside the zip application that this runs from, or in a checkout. Raises ModelError."""
    folder = Path(__file__).resolve().parents[3]
    places = (folder / FILE, folder / "models" / "backbone" / "vendored" / FILE)
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise ModelError("the network that teaching needs did not come along", where=str(places[0]))
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ModelError("the network that teaching needs is damaged", where=str(path), mend="install it again")
    return data


class Backbone:
    """Features of pictures. threads: of one run."""

    def __init__(self, threads: int = 1) -> None:
        ort = optional.load("onnxruntime", "teaching")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(content(), options, providers=["CPUExecutionProvider"])

    def __call__(self, pixels: Pixels) -> tuple[Floats, Floats, Floats]:
        """pixels: (rows, columns, 3), RGB, sides multiples of 16. Channels, rows and columns at strides 4, 8, 16."""
        found: Any = self._session.run(["s4", "s8", "s16"], {"image": np.ascontiguousarray(pixels[None])})
        s4, s8, s16 = found
        return s4[0], s8[0], s16[0]
