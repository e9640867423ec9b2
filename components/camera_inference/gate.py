"""Whether a picture shows anything at all: asked before the model is."""

from __future__ import annotations

import time
import zlib
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from camera_inference.configuration import Limits
from camera_inference.frame import Frame, Pixels
from edgeloop import durable
from edgeloop.models.head import Pictures, Spread
from edgeloop.models.pictures import Measures, measure, strangeness, usual

FIRST: Final = 200
"""Pictures that passed before a camera's own are what others are compared with."""
LAST: Final = 2000
"""Pictures that passed after which what is usual is settled."""
WIDENED: Final = 1.5
SAVE: Final = 30.0
NOISE: Final = 0.75
"""Grain from which there is nothing but noise."""
SAYINGS: Final = {
    ("brightness", False): "the picture is darker than usual: has the light failed, is the lens covered?",
    ("brightness", True): "the picture is brighter than usual: has the light or the exposure changed?",
    ("contrast", False): "the picture has less contrast than usual: is the lens covered or fogged?",
    ("contrast", True): "the picture has more contrast than usual: has the light changed?",
    ("sharpness", False): "the picture is less sharp than usual: is it out of focus, is the lens dirty?",
    ("sharpness", True): "the picture has harder edges than usual: is it disturbed?",
    ("grain", True): "the picture is noisier than usual: has the light or the gain changed?",
    ("grain", False): "the picture is smoother than usual: is it out of focus?",
    ("likeness", False): "the picture shows another scene than usual: has the camera moved, is the part missing?",
}


class Learned(msgspec.Struct, forbid_unknown_fields=True):
    """What a camera's own pictures were like. view: the size and cut that they were measured at. first: of the first
    ones alone; `usual` grows from there, and not far."""

    view: str
    pictures: list[Measures] = []
    first: Pictures | None = None
    usual: Pictures | None = None
    count: int = 0


class Gate:
    """One camera's. `refuses` is called for each picture in turn, with the pixels that its model would be given."""

    def __init__(self, limits: Limits, path: Path | None = None) -> None:
        self._limits, self._path = limits, path
        self._learned = self._load()
        self._saved = time.monotonic()
        self._print, self._since, self._alike = 0, 0, 0
        self.strange = 0.0
        """How unlike the usual the last picture was: 1 at the edge of what is usual."""

    def frozen(self, frame: Frame) -> str:
        """Why a picture is no new one, or nothing. A live camera's noise makes each picture another one."""
        image = frame.image
        if image is None or not frame.live or not self._limits.frozen:
            return ""
        sample = np.ascontiguousarray(image[:: max(1, len(image) // 120)])
        mark = zlib.crc32(sample.data)
        if mark != self._print:
            self._print, self._since, self._alike = mark, frame.seen, 0
            return ""
        self._alike += 1
        stood = frame.seen - self._since
        if self._alike < 2 or stood < int(self._limits.frozen):
            return ""
        return f"the picture has not changed for {stood / 1e9:.0f} s: does the camera hang?"

    def small(self, frame: Frame) -> str:
        """Why a picture is too small to show anything, or nothing."""
        image = frame.image
        if image is None:
            return frame.reason or "there is no image"
        height, width = (frame.scale * size for size in image.shape[:2])
        if min(height, width) < self._limits.smallest:
            return f"the picture has {width} × {height} pixels, less than {self._limits.smallest} on a side"
        return ""

    def refuses(self, pixels: Pixels, view: str, known: Pictures | None) -> str:
        """Why a picture shows nothing, or "". view: how `pixels` were cut. known: what the model was trained on."""
        seen = measure(pixels)
        limits = self._limits
        if self._learned.view != view:
            self._learned = Learned(view)
        self.strange = 0.0
        if seen.brightness < limits.dark:
            return f"the picture is dark: {seen.brightness:.1%} of full scale, the least is {limits.dark:.1%}"
        if seen.brightness > limits.bright:
            return f"the picture is overexposed: {seen.brightness:.1%} of full scale, the most is {limits.bright:.1%}"
        if seen.contrast < limits.contrast:
            return f"the picture shows nothing: its contrast is {seen.contrast:.2%} of full scale"
        if seen.grain > limits.noise:
            return "the picture is nothing but noise"
        own = self._learned.usual
        compared = own or known
        if compared is not None and limits.usual:
            self.strange, name = strangeness(seen, compared)
            if self.strange > WIDENED:
                spread: Spread = getattr(compared, name)
                value = float(np.dot(seen.scene, compared.scene)) if name == "likeness" else float(getattr(seen, name))
                saying = SAYINGS[name, name != "likeness" and value > spread.middle]
                return f"{saying} ({name} {value:.3g}, usually {spread.low:.3g} to {spread.high:.3g})"
        self._learn(seen)
        return ""

    def save(self) -> None:
        """Keeps what was learned, from time to time. Raises OSError."""
        if self._path is not None and self._learned.count:
            durable.write(self._path, self._learned, sync=False)
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        return self._learned.count < LAST + 1 and time.monotonic() - self._saved > SAVE

    def forget(self) -> None:
        """Begins anew. Raises OSError."""
        self._learned = Learned("")
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    @property
    def count(self) -> int:
        """Pictures that were learned from."""
        return self._learned.count

    # -- inside --------------------------------------------------------------------------------------------------------

    def _learn(self, seen: Measures) -> None:
        learned = self._learned
        if learned.count >= LAST:
            return
        learned.count += 1
        if learned.usual is None:
            learned.pictures.append(seen)
            if len(learned.pictures) >= FIRST:
                learned.first = learned.usual = usual(learned.pictures)
                learned.pictures = []
        elif learned.first is not None and strangeness(seen, learned.first)[0] <= WIDENED:
            learned.usual = _wider(learned.usual, seen)

    def _load(self) -> Learned:
        if self._path is None:
            return Learned("")
        try:
            return durable.read(self._path, Learned) or Learned("")
        except (OSError, durable.Damaged):
            return Learned("")


def _wider(known: Pictures, seen: Measures) -> Pictures:
    """With the extremes of one more picture."""
    values = {name: float(getattr(seen, name)) for name in ("brightness", "contrast", "sharpness", "grain")}
    values["likeness"] = round(float(np.dot(seen.scene, known.scene)), 5)
    changes = {}
    for name, value in values.items():
        spread: Spread = getattr(known, name)
        if not spread.low <= value <= spread.high:
            changes[name] = Spread(min(spread.low, value), spread.middle, max(spread.high, value))
    return msgspec.structs.replace(known, **changes) if changes else known
