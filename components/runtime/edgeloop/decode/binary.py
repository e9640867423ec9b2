"""CBOR documents."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import cbor2

from edgeloop.decode.bounds import OUTSIDE, Bounds, check, refused
from edgeloop.decode.heads import fault
from edgeloop.decode.text import FAILURES


def cbor(data: bytes, *, what: str = "a document", where: str = "", bounds: Bounds = OUTSIDE) -> Any:
    """The value of one CBOR item. Raises DecodeError, and nothing else.

    >>> cbor(bytes.fromhex("a1616101"))
    {'a': 1}
    """
    if len(data) > bounds.size:
        raise refused(what, where, f"{len(data)} bytes, {bounds.size} at most")
    if why := fault(data, bounds.depth, bounds.text):
        raise refused(what, where, why)
    stream = BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream).decode()
    except (cbor2.CBORError, ArithmeticError, LookupError, *FAILURES) as error:
        raise refused(what, where, " ".join(str(error).split())[:200]) from None
    if stream.read(1):
        raise refused(what, where, "more bytes follow it")
    check(value, bounds, what=what, where=where, shared=False)
    return value
