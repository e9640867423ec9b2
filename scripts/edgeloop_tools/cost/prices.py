"""Prices as a dated table, and one's own in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from edgeloop.decode import document
from edgeloop.errors import EdgeloopError


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD. put: of 1,000 requests; stored, rare: of a GB and month; stream: of an hour; kinesis, firehose, scanned: of
    a GB in, delivered, looked at; minutes, messages: of a million; cpu, memory: of an hour of a core, of a GB."""

    date: str
    region: str
    put: float
    stored: float
    rare: float
    stream: float
    kinesis: float
    firehose: float
    scanned: float
    minutes: float
    messages: float
    cpu: float
    memory: float


KNOWN: Final = {
    "us-east-1": Prices(
        date="2025-01", region="us-east-1", put=0.005, stored=0.023, rare=0.0125, stream=0.04, kinesis=0.08,
        firehose=0.029, scanned=0.005, minutes=0.08, messages=1.0, cpu=0.04048, memory=0.004445,
    ),
}  # fmt: skip
"""List prices without free tiers and discounts, of that date; nobody asked AWS since."""


def prices(region: str, own: Path | None) -> Prices:
    """Raises EdgeloopError where none are known."""
    if own is not None:
        try:
            return document(own.read_bytes(), Prices, what="prices", where=str(own))
        except OSError as error:
            raise EdgeloopError("cannot read the prices", where=str(own), why=error.strerror or "") from None
    if region not in KNOWN:
        mend = f"--region {', '.join(KNOWN)}, or --prices FILE ({', '.join(Prices.__struct_fields__)})"
        raise EdgeloopError("no prices of this region", where=region, mend=mend)
    return KNOWN[region]
