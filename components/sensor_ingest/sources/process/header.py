"""The line with which a program says what it will write."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
from numpy.typing import DTypeLike

from edgeloop.config import units
from edgeloop.config.quantities import Rate
from edgeloop.decode import document
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Channel
from sensor_ingest.payload.form import channel
from sensor_ingest.sources import entries

LONGEST = 65_536
_EXAMPLE = 'such as {"rate":48000,"dtype":"<i2","channels":{"x":"m/s2"}}'
_KEPT = {"i2", "i4", "f4", "f8"}
_WIDENED = {"i1": "i2", "u1": "i2", "u2": "i4", "u4": "f8", "i8": "f8", "u8": "f8", "f2": "f4"}


class _Channel(msgspec.Struct, forbid_unknown_fields=True):
    unit: str = "1"
    scale: float = 1.0
    offset: float = 0.0


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    rate: float | str
    dtype: str
    channels: dict[str, str | _Channel]
    calibration: str = ""


class Header(msgspec.Struct, frozen=True):
    """rate: Hz; dtype: of the bytes; kept: of the batches; a frame is one sample of each channel."""

    rate: Fraction
    dtype: Any
    kept: DTypeLike
    channels: tuple[Channel, ...]
    calibration: str

    @property
    def frame(self) -> int:
        """Bytes."""
        return int(self.dtype.itemsize) * len(self.channels)

    @classmethod
    def parse(cls, line: bytes | str, where: str) -> Header:
        """Raises EdgeloopError.

        >>> header = Header.parse('{"rate":"25.6 kHz","dtype":">i2","channels":{"x":{"unit":"m/s2","scale":0.5}}}', "")
        >>> header.rate, header.frame, header.channels[0].unit
        (Fraction(25600, 1), 2, 'm/s2')
        """
        try:
            said = document(line.encode() if isinstance(line, str) else line, _Header)
            channels = tuple(
                Channel(name, units.unit(c))
                if isinstance(c, str)
                else Channel(name, units.unit(c.unit), c.scale, c.offset)
                for name, c in said.channels.items()
            )
            return cls._of(Fraction(Rate(said.rate)), said.dtype, channels, said.calibration)
        except (ValueError, TypeError) as error:
            raise EdgeloopError(
                "the header line is not understood", where=where, why=str(error), mend=_EXAMPLE
            ) from None

    @classmethod
    def made(cls, rate: Fraction, dtype: str, channels: Mapping[str, str] | str, where: str) -> Header:
        """From a configuration: channels are `unit *scale +offset` by name. Raises EdgeloopError.

        >>> Header.made(Fraction(48000), "<i2", {"left": "Pa *0.001"}, "").channels
        (Channel(name='left', unit='Pa', scale=0.001, offset=0.0),)
        """
        try:
            rows = entries.parse(channels, lambda name, text: channel(name, text.split()), "channels")
            return cls._of(rate, dtype, tuple(rows.values()), "")
        except (ValueError, TypeError) as error:
            raise EdgeloopError("the frames are not understood", where=where, why=str(error)) from None

    @classmethod
    def _of(cls, rate: Fraction, name: str, channels: tuple[Channel, ...], calibration: str) -> Header:
        dtype = np.dtype(name)
        if rate <= 0:
            raise ValueError("the rate must be more than 0")
        if not channels:
            raise ValueError("there are no channels")
        code = dtype.str[1:]
        if code not in _KEPT and code not in _WIDENED:
            raise ValueError(f"dtype {name!r} is none of integer or float, 1 to 8 bytes")
        return cls(rate, dtype, np.dtype(_WIDENED.get(code, code)), channels, calibration)
