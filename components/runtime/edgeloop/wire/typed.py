"""Typed arrays of RFC 8746, little-endian."""

from __future__ import annotations

import cbor2
import numpy as np
from numpy.typing import NDArray

from edgeloop.errors import WireError

TAGS = {"u1": 64, "<u4": 70, "<i2": 77, "<i4": 78, "<i8": 79, "<f4": 85, "<f8": 86}
DTYPES = {tag: np.dtype(code) for code, tag in TAGS.items()}
CODES = {dtype: tag for tag, dtype in DTYPES.items()}
MULTI_DIMENSIONAL = 40
"""Row-major array of [dimensions, elements]."""

SAMPLES = frozenset(np.dtype(code) for code in ("<i2", "<i4", "<f4", "<f8"))


def little(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same array where it is row-major and little-endian already, else a copy that is."""
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def data(array: NDArray[np.generic]) -> memoryview:
    """The bytes of a row-major array, not copied."""
    return array.data.cast("B") if array.size else memoryview(b"")


def dump(array: NDArray[np.generic]) -> cbor2.CBORTag:
    array = little(array)
    return cbor2.CBORTag(CODES[array.dtype], array.tobytes())


def load(value: object, *allowed: str) -> NDArray[np.generic]:
    """(n,) from a decoded typed array of one of the dtypes `allowed`."""
    if not isinstance(value, cbor2.CBORTag) or not isinstance(value.value, bytes):
        raise WireError("a typed array was expected", why=f"found {type(value).__name__}")
    dtype = DTYPES.get(value.tag)
    if dtype is None or dtype not in {np.dtype(code) for code in allowed}:
        raise WireError("a typed array of another type was expected", why=f"found tag {value.tag}")
    if len(value.value) % dtype.itemsize:
        raise WireError("a typed array holds a part of an element", why=f"{len(value.value)} B of {dtype}")
    return np.frombuffer(value.value, dtype)
