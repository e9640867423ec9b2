"""JSON documents of the bus and of files: plain values, numpy's and quantities, as bytes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgeloop.decode import document


def simple(value: Any) -> Any:
    """A plain value for one that JSON does not have: numpy's, quantities (as their text), rationals, paths."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (int, Fraction, Path)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in a document")


_encoder = msgspec.json.Encoder(enc_hook=simple)


def encode(value: Any) -> bytes:
    """UTF-8 JSON; NaN and infinities become null.

    >>> encode({"score": np.float64(0.5), "time": 1_700_000_000_000_000_000, "ratio": float("nan")})
    b'{"score":0.5,"time":1700000000000000000,"ratio":null}'
    """
    return _encoder.encode(value)


def decode(payload: bytes) -> Any:
    """Plain values. Raises DecodeError (a ValueError) where the bytes are no JSON within the bounds."""
    return document(payload)
