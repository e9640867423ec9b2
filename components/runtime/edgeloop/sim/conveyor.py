"""A conveyor under a camera: metal parts with surface defects, changing light, a trigger with an id for each part.

Pure numpy; any part and its image is a function of (seed, part id) alone.

What is drawn: a brushed plate with two holes on a dark belt, placed a little differently each time. The light has a
level and a direction that change slowly, a highlight, a colour; the sensor adds shot and read noise (EMVA 1288). A
scratch is a thin line, brighter or darker; a dent a smooth hollow, bright on one flank and dark on the other, as the
light falls (Lambert); a stain an irregular, darker, brownish patch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgeloop.clock import NS
from edgeloop.sim import noise

DefectKind = Literal["scratch", "dent", "stain"]
DEFECTS: tuple[DefectKind, ...] = get_args(DefectKind)
Image = NDArray[np.uint8]
Field = NDArray[np.float32]

_METAL = np.array([0.60, 0.61, 0.63], np.float32)
_BELT = np.array([0.115, 0.12, 0.13], np.float32)
_STAIN = np.array([0.55, 0.75, 1.0], np.float32)


@dataclass(frozen=True, slots=True)
class Conveyor:
    """What runs past the camera. width, height: pixels; rate: parts a second; defective: share of the parts."""

    name: str = "gate"
    seed: int = 0
    width: int = 320
    height: int = 240
    rate: float = 5.0
    defective: float = 0.15

    def due(self, part: int) -> int:
        """When a part reaches the trigger, ns after the start; ascending.

        >>> belt = Conveyor(rate=10.0)
        >>> [belt.count(belt.due(k)) for k in (0, 1, 7)]
        [0, 1, 7]
        """
        jitter = noise.one(noise.key(self.seed, self.name, "due"), part)
        return int((part + 0.5 + 0.4 * jitter) * NS / self.rate)

    def count(self, t: int) -> int:
        """Parts that reached the trigger before t (ns after the start)."""
        k = max(0, int(t * self.rate / NS) - 1)
        while self.due(k) < t:
            k += 1
        return k


@dataclass(frozen=True, slots=True)
class Defect:
    """Where and how bad. x, y, size: pixels of the image, size being half the longest extent; severity in (0, 1]."""

    kind: DefectKind
    x: float
    y: float
    size: float
    angle: float
    severity: float


@dataclass(frozen=True, slots=True)
class Part:
    """The truth about one part. x, y: pixels; angle: rad; light: level of the illumination, 1 is nominal."""

    id: int
    x: float
    y: float
    angle: float
    light: float
    defects: tuple[Defect, ...]

    @property
    def kind(self) -> str:
        """`good`, or the kind of its worst defect."""
        return max(self.defects, key=lambda d: d.severity).kind if self.defects else "good"


class Camera:
    """What sees a conveyor. Holds the surfaces, some 3 MB at 320 × 240."""

    def __init__(self, conveyor: Conveyor) -> None:
        self.conveyor = conveyor
        seed, name = conveyor.seed, conveyor.name
        self._key = noise.key(seed, name, "part")
        self._level = noise.Wander(noise.key(seed, name, "level"), 40, 900)
        self._turn = noise.Wander(noise.key(seed, name, "turn"), 90, 1500)
        self._colour = noise.Wander(noise.key(seed, name, "colour"), 120, 2000)

    def part(self, id: int) -> Part:
        return self._draw(id)[0]

    def image(self, id: int) -> Image:
        """(height, width, 3) RGB."""
        part, rng = self._draw(id)
        return self._render(part, rng)

    def mask(self, id: int) -> NDArray[np.int8]:
        """(height, width): 0 where nothing is wrong, else 1 + the position of the defect's kind in DEFECTS."""
        part, _ = self._draw(id)
        result = np.zeros((self.conveyor.height, self.conveyor.width), np.int8)
        for defect in part.defects:
            _, weight = self._defect(defect, 0.0)
            result[weight > 0.3 * weight.max()] = 1 + DEFECTS.index(defect.kind)
        return result

    def _draw(self, id: int) -> tuple[Part, np.random.Generator]:
        rng = noise.generator(self._key, id)
        at = np.array([float(id)])
        scale = self._scale
        level = float(np.clip(0.84 * np.exp(0.2 * self._level.value(at)[0]), 0.5, 1.15) * rng.uniform(0.97, 1.03))
        x = self.conveyor.width / 2 + rng.uniform(-9, 9) * scale
        y = self.conveyor.height / 2 + rng.uniform(-6, 6) * scale
        angle = rng.uniform(-0.05, 0.05)
        defects: tuple[Defect, ...] = ()
        if rng.uniform() < self.conveyor.defective:
            defects = tuple(self._place(rng, x, y, angle) for _ in range(1 + int(rng.uniform() < 0.15)))
        return Part(id, x, y, angle, level, defects), rng

    def _place(self, rng: np.random.Generator, x: float, y: float, angle: float) -> Defect:
        kind = DEFECTS[int(rng.uniform() * len(DEFECTS))]
        scale = self._scale
        low, high = {"scratch": (12, 42), "dent": (6, 13), "stain": (8, 20)}[kind]
        size = rng.uniform(low, high) * scale
        while True:
            u = rng.uniform(-1, 1) * (self._half[0] - 0.6 * size - 5 * scale)
            v = rng.uniform(-1, 1) * (self._half[1] - 0.6 * size - 5 * scale)
            if min(np.hypot(u - hx, v) for hx in self._holes) > size + self._bore + 2 * scale or kind == "scratch":
                break
        c, s = np.cos(angle), np.sin(angle)
        turn = rng.uniform(0, np.pi)
        return Defect(kind, x + c * u - s * v, y + s * u + c * v, size, turn, rng.uniform(0.3, 1.0))

    # -- drawing -------------------------------------------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        return self.conveyor.height / 240

    @property
    def _half(self) -> tuple[float, float]:
        return 120 * self._scale * self.conveyor.width / self.conveyor.height * 0.75, 84 * self._scale

    @property
    def _holes(self) -> tuple[float, float]:
        return -0.62 * self._half[0], 0.62 * self._half[0]

    @property
    def _bore(self) -> float:
        return 11 * self._scale

    @cached_property
    def _grid(self) -> tuple[Field, Field]:
        height, width = self.conveyor.height, self.conveyor.width
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        return x, y

    @cached_property
    def _surfaces(self) -> tuple[Field, Field, Field]:
        """Metal, belt and read noise, twice as large as the image, mean 0 and deviation 1."""
        rng = noise.generator(noise.key(self.conveyor.seed, self.conveyor.name, "surface"), 0)
        shape = (2 * self.conveyor.height, 2 * self.conveyor.width)
        metal = _smooth(rng.standard_normal(shape, np.float32), 24, axis=1)
        metal = metal / metal.std() + 0.5 * rng.standard_normal(shape, np.float32)
        belt = _smooth(_smooth(rng.standard_normal(shape, np.float32), 3, axis=0), 3, axis=1)
        return metal / metal.std(), belt / belt.std(), rng.standard_normal(shape, np.float32)

    def _cut(self, surface: Field, rng: np.random.Generator) -> Field:
        height, width = self.conveyor.height, self.conveyor.width
        top, left = int(rng.uniform() * height), int(rng.uniform() * width)
        return surface[top : top + height, left : left + width]

    def _render(self, part: Part, rng: np.random.Generator) -> Image:
        x, y = self._grid
        metal, belt, read = self._surfaces
        turn = float(2.2 + 0.8 * self._turn.value(np.array([float(part.id)]))[0])
        tint = float(self._colour.value(np.array([float(part.id)]))[0])
        c, s = np.float32(np.cos(part.angle)), np.float32(np.sin(part.angle))
        u = c * (x - np.float32(part.x)) + s * (y - np.float32(part.y))
        v = c * (y - np.float32(part.y)) - s * (x - np.float32(part.x))
        plate = self._plate(u, v)
        shade = 1 + np.float32(0.055) * self._cut(metal, rng)
        for defect in part.defects:
            change, _ = self._defect(defect, turn)
            if defect.kind != "stain":
                shade = shade * change
        light = self._light(part.light, turn, rng)
        shade = shade * light * plate
        ground = (1 + np.float32(0.10) * self._cut(belt, rng)) * light * (1 - plate)
        warm = np.array([1 + 0.05 * tint, 1.0, 1 - 0.05 * tint], np.float32)
        stains = [self._defect(d, turn)[0] for d in part.defects if d.kind == "stain"]
        image = np.empty((*shade.shape, 3), np.uint8)
        for channel in range(3):
            value = shade * (_METAL[channel] * warm[channel])
            for stain in stains:
                value *= 1 - _STAIN[channel] * (1 - stain)
            value += ground * (_BELT[channel] * warm[channel])
            deviation = np.sqrt(np.float32(2.0e-5) + np.float32(1.2e-4) * value)
            value += deviation * self._cut(read, rng)
            value *= 255
            np.clip(value, 0, 255, out=value)
            image[:, :, channel] = value
        return image

    def _plate(self, u: Field, v: Field) -> Field:
        """1 on the plate, 0 on the belt and in the holes, with edges one pixel wide."""
        corner = np.float32(10 * self._scale)
        qu = np.maximum(np.abs(u) - np.float32(self._half[0]) + corner, 0)
        qv = np.maximum(np.abs(v) - np.float32(self._half[1]) + corner, 0)
        plate = np.clip(corner + np.float32(0.5) - np.sqrt(qu * qu + qv * qv), 0, 1)
        for hole in self._holes:
            away = np.sqrt((u - np.float32(hole)) ** 2 + v * v)
            plate *= np.clip(away - np.float32(self._bore) + np.float32(0.5), 0, 1)
        return np.asarray(plate, np.float32)

    def _light(self, level: float, turn: float, rng: np.random.Generator) -> Field:
        x, y = self._grid
        width, height = self.conveyor.width, self.conveyor.height
        a, b = x / width - np.float32(0.5), y / height - np.float32(0.5)
        slope = np.float32(0.35 + 0.1 * rng.uniform(-1, 1))
        field = 1 + slope * (np.float32(np.cos(turn)) * a + np.float32(np.sin(turn)) * b)
        hx, hy = 0.3 * np.cos(turn) + rng.uniform(-0.05, 0.05), 0.3 * np.sin(turn) + rng.uniform(-0.05, 0.05)
        glow = np.exp(-((a - np.float32(hx)) ** 2 + (b - np.float32(hy)) ** 2) / np.float32(0.05))
        return np.asarray(np.float32(level) * (field + np.float32(0.18) * glow), np.float32)

    def _defect(self, defect: Defect, turn: float) -> tuple[Field, Field]:
        """What a defect multiplies the brightness with, and how much of it is at each pixel (0..1)."""
        x, y = self._grid
        dx, dy = x - np.float32(defect.x), y - np.float32(defect.y)
        c, s = np.float32(np.cos(defect.angle)), np.float32(np.sin(defect.angle))
        along, across = c * dx + s * dy, c * dy - s * dx
        size, severity = np.float32(defect.size), np.float32(defect.severity)
        shape = noise.generator(self._key, int(defect.x * 64) << 20 | int(defect.y * 64))
        if defect.kind == "scratch":
            bend = np.float32(shape.uniform(-0.25, 0.25))
            width = np.float32(shape.uniform(0.6, 1.1) * self._scale)
            line = (across - bend * along * along / size) / width
            weight = np.exp(-0.5 * line * line) * np.clip(size - np.abs(along), 0, 2) / 2
            sign = np.float32(1.0 if shape.uniform() < 0.6 else -0.8)
            return 1 + sign * (np.float32(0.12) + np.float32(0.33) * severity) * weight, weight
        if defect.kind == "dent":
            weight = np.exp(-0.5 * (dx * dx + dy * dy) / (size * np.float32(0.55)) ** 2)
            slope = (np.float32(np.cos(turn)) * dx + np.float32(np.sin(turn)) * dy) / (size * np.float32(0.55))
            depth = np.float32(0.10) + np.float32(0.28) * severity
            return np.asarray(1 - depth * slope * weight * np.float32(1.2), np.float32), np.asarray(weight, np.float32)
        phase = shape.uniform(0, 2 * np.pi, 3).astype(np.float32)
        angle = np.arctan2(dy, dx)
        edge = 1 + sum(np.float32(0.16 / (k + 1)) * np.sin((k + 2) * angle + phase[k]) for k in range(3))
        weight = np.clip((size * edge - np.sqrt(dx * dx + dy * dy)) / (np.float32(0.25) * size), 0, 1)
        return 1 - (np.float32(0.10) + np.float32(0.30) * severity) * weight, weight


def _smooth(surface: Field, length: int, axis: int) -> Field:
    """A running mean, periodic."""
    total = np.cumsum(surface, axis=axis, dtype=np.float64)
    size = surface.shape[axis]
    ends = (np.arange(size) + length) % size
    wrap = np.where(np.arange(size) + length >= size, 1.0, 0.0)
    shape = [1, 1]
    shape[axis] = size
    last = np.take(total, [size - 1], axis=axis)
    moved = np.take(total, ends, axis=axis) + wrap.reshape(shape) * last
    return np.asarray((moved - total) / length, np.float32)


def truth(part: Part, camera: str, name: str, time: int) -> dict[str, Any]:
    """A part as the document on the truth topic. name: its id on the bus; time: ns UTC at the trigger."""
    return {
        "id": f"{camera}-{name}",
        "kind": "part",
        "camera": camera,
        "part": name,
        "number": part.id,
        "time": time,
        "label": part.kind,
        "light": round(part.light, 3),
        "defects": [
            {
                "kind": d.kind,
                "x": round(d.x, 1),
                "y": round(d.y, 1),
                "size": round(d.size, 1),
                "severity": round(d.severity, 3),
            }
            for d in part.defects
        ],
    }
