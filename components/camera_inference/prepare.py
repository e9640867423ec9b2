"""From a frame to the tensor that a model takes. What the graph does itself is not done here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_inference.frame import Frame, Pixels
from camera_inference.zones import Zone
from edgeloop.errors import EdgeloopError
from edgeloop.models import optional
from edgeloop.models.manifest import Image, Manifest, Tensor

Area = tuple[float, float, float, float]
HIDDEN: Final = 114
"""What stands where a picture is masked, and around one that is letterboxed."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How the model's input lies on the image: input pixel (x, y) is share (left + x * across, top + y * down).

    width, height: pixels of the input.
    """

    left: float
    top: float
    across: float
    down: float
    width: int
    height: int

    def box(
        self, label: str, score: float, left: float, top: float, right: float, bottom: float
    ) -> tuple[str, float, float, float, float, float]:
        """Corners in pixels of the input as label, score, x, y, width, height in shares of the image."""
        x0, x1 = (min(1.0, max(0.0, self.left + float(v) * self.across)) for v in (left, right))
        y0, y1 = (min(1.0, max(0.0, self.top + float(v) * self.down)) for v in (top, bottom))
        return label, round(score, 4), round(x0, 4), round(y0, 4), round(x1 - x0, 4), round(y1 - y0, 4)


class Preparation:
    """Frames of one camera for one model. Not thread-safe.

    A frame that is already what the model takes is handed over as it is, without a copy; else `out` is filled.
    """

    def __init__(self, manifest: Manifest, area: Area, masks: Sequence[Zone] = ()) -> None:
        images = [p for p in manifest.preprocessing if isinstance(p, Image)]
        if len(manifest.inputs) != 1 or len(images) != 1:
            raise EdgeloopError(
                "the model takes no image", why="one input, with preprocessing of kind image, is needed"
            )
        self.tensor: Tensor = manifest.inputs[0]
        self._image, self._area = images[0], area
        self._shape = _shape(self._image, self.tensor)
        self._raw = self.tensor.dtype == "uint8"
        if not self._raw and self.tensor.dtype != "float32":
            raise EdgeloopError(
                "the model takes no image", why=f"its input is {self.tensor.dtype}, not uint8 or float32"
            )
        channels = 1 if self._image.colour == "grey" else 3
        self._mean = np.asarray(self._image.mean or (0.0,) * channels, np.float32)
        self._deviation = np.asarray(self._image.deviation or (1.0,) * channels, np.float32)
        self._pad: Pixels | None = None
        self._masks = tuple(masks)
        self._hidden: tuple[Placement, NDArray[np.bool_]] | None = None
        self.view = f"{self._image.width}x{self._image.height} {self._image.fit} {area}"
        """How a frame is cut and resized."""
        self.pixels: Pixels | None = None
        """What the last frame became by that, in its own colours."""

    def enough(self, width: int, height: int) -> bool:
        """Whether a picture of that size need not be enlarged for the model."""
        across, down = width * self._area[2] / self._image.width, height * self._area[3] / self._image.height
        return (max(across, down) if self._image.fit == "letterbox" else min(across, down)) >= 1

    def buffer(self) -> NDArray[Any]:
        return np.empty(self._shape, np.dtype(self.tensor.dtype))

    def fill(self, frame: Frame, out: NDArray[Any]) -> tuple[NDArray[Any], Placement]:
        """The input, either `out` or a view of the frame, and where it lies."""
        assert frame.image is not None
        self.pixels = None
        cut, left, top = cut_of(frame.image, self._area)
        pixels, placement = self._fit(cut, left, top, frame.image)
        self.pixels = pixels if self.pixels is None else self.pixels
        if self._masks:
            pixels = self._masked(pixels, placement)
        pixels = self._coloured(pixels, frame.colour)
        wanted = self._image
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if self._raw and wanted.layout == "nhwc" and pixels.flags.c_contiguous:
            return pixels.reshape(self._shape), placement
        ordered = pixels.transpose(2, 0, 1) if wanted.layout == "nchw" else pixels
        target = out.reshape(ordered.shape)
        if self._raw:
            np.copyto(target, ordered)
        else:
            shape = (-1, 1, 1) if wanted.layout == "nchw" else (1, 1, -1)
            np.multiply(ordered, np.float32(1 / wanted.scale), out=target)
            if wanted.mean or wanted.deviation:
                target -= self._mean.reshape(shape)
                target /= self._deviation.reshape(shape)
        return out, placement

    def _masked(self, pixels: Pixels, placement: Placement) -> Pixels:
        """A copy in which what the masks hide is grey."""
        known = self._hidden
        if known is None or known[0] != placement:
            hidden = np.zeros(pixels.shape[:2], np.uint8)
            cv = optional.load("cv2", "masking pictures")
            for zone in self._masks:
                corners = [((x - placement.left) / placement.across, (y - placement.top) / placement.down)
                           for x, y in zone.points]  # fmt: skip
                cv.fillPoly(hidden, [np.round(np.array(corners)).astype(np.int32)], 1)
            known = self._hidden = placement, hidden.astype(bool)
        shown = pixels.copy()
        shown[known[1]] = HIDDEN
        return shown

    def _fit(self, cut: Pixels, left: int, top: int, whole: Pixels) -> tuple[Pixels, Placement]:
        """The cut at the model's size."""
        width, height = self._image.width, self._image.height
        rows, columns = cut.shape[:2]
        full_height, full_width = whole.shape[:2]
        sx, sy, dx, dy = columns / width, rows / height, 0.0, 0.0
        if self._image.fit == "crop":
            scale = min(sx, sy)
            w, h = max(1, round(width * scale)), max(1, round(height * scale))
            dx, dy, sx, sy = (columns - w) // 2, (rows - h) // 2, w / width, h / height
            cut = cut[int(dy) : int(dy) + h, int(dx) : int(dx) + w]
        elif self._image.fit == "letterbox" and abs(sx - sy) > 1e-9:
            return self._letterbox(cut, max(sx, sy), left, top, full_width, full_height)
        if cut.shape[:2] != (height, width):
            cut = _resized(cut, width, height)
        placement = Placement(
            (left + dx) / full_width, (top + dy) / full_height, sx / full_width, sy / full_height, width, height
        )
        return cut, placement

    def _letterbox(
        self, cut: Pixels, scale: float, left: int, top: int, full_width: int, full_height: int
    ) -> tuple[Pixels, Placement]:
        width, height = self._image.width, self._image.height
        w, h = max(1, round(cut.shape[1] / scale)), max(1, round(cut.shape[0] / scale))
        x, y = (width - w) // 2, (height - h) // 2
        shape = (height, width, *cut.shape[2:])
        if self._pad is None or self._pad.shape != shape:
            self._pad = np.full(shape, HIDDEN, np.uint8)
        pad = self._pad.copy()
        pad[y : y + h, x : x + w] = self.pixels = _resized(cut, w, h)
        placement = Placement(
            (left - x * scale) / full_width, (top - y * scale) / full_height,
            scale / full_width, scale / full_height, width, height,
        )  # fmt: skip
        return pad, placement

    def _coloured(self, pixels: Pixels, colour: str) -> Pixels:
        wanted = self._image.colour
        if wanted == "grey":
            if pixels.ndim == 2:
                return pixels
            weights = (77, 150, 29) if colour == "rgb" else (29, 150, 77)
            total = sum(pixels[:, :, c].astype(np.uint16) * np.uint16(w) for c, w in enumerate(weights))
            return np.asarray(np.asarray(total) >> 8, np.uint8)
        if pixels.ndim == 2:
            return np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
        return pixels if colour == wanted else pixels[:, :, ::-1]


def cut_of(image: Pixels, area: Area) -> tuple[Pixels, int, int]:
    """The part of an image within an area, at least one pixel, and its left and top."""
    height, width = image.shape[:2]
    x, y, w, h = area
    left, top = min(int(x * width), width - 1), min(int(y * height), height - 1)
    right, bottom = max(left + 1, round((x + w) * width)), max(top + 1, round((y + h) * height))
    return image[top:bottom, left:right], left, top


def _shape(image: Image, tensor: Tensor) -> tuple[int, ...]:
    """The input's shape. Raises EdgeloopError where the manifest contradicts itself."""
    channels = 1 if image.colour == "grey" else 3
    size = (image.height, image.width)
    core = (channels, *size) if image.layout == "nchw" else (*size, channels)
    for wanted in ((1, *core), core):
        if len(wanted) == len(tensor.shape) and all(
            isinstance(t, str) or t == w for t, w in zip(tensor.shape, wanted, strict=True)
        ):
            return wanted
    raise EdgeloopError("the model's input does not fit its preprocessing", why=f"{tensor.shape} and {core}")


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    cv = optional.load("cv2", "resizing images")
    way = cv.INTER_AREA if pixels.shape[1] > width else cv.INTER_LINEAR
    return np.asarray(cv.resize(pixels, (width, height), interpolation=way))
