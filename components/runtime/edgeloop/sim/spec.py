"""What kind of machine it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from edgeloop.wire.batch import Channel

STANDARD_GRAVITY = 9.80665


@dataclass(frozen=True, slots=True)
class Spec:
    """A rotating machine and its sensors. Frequencies in Hz; `outer_race` in impacts per revolution.

    The accelerometer spans ±16 g in 16 bits.
    """

    name: str = "press1"
    shaft: float = 29.95
    outer_race: float = 3.585
    rate: Fraction = Fraction(25_600)
    slow_rate: Fraction = Fraction(10)
    plc_rate: Fraction = Fraction(10)
    products: tuple[str, ...] = ("bracket", "housing", "cover")
    loads: tuple[float, ...] = (1.0, 0.95, 1.06)
    stops: bool = True

    @property
    def vibration_channels(self) -> tuple[Channel, ...]:
        scale = 16 * STANDARD_GRAVITY / 32768
        return tuple(Channel(name, "m/s2", scale) for name in ("x", "y", "z"))

    @property
    def slow_channels(self) -> tuple[Channel, ...]:
        return (
            Channel("temperature", "Cel"),
            Channel("current", "A"),
            Channel("pressure", "bar"),
            Channel("speed", "{rev}/min"),
        )
