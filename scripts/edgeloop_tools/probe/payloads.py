"""What a payload is: the first form whose decoder takes all that was heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edgeloop import clock
from sensor_ingest.payload.decoder import Decoder
from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Form

ORDER: Final = ("json", "senml", "influx", "pairs", "text")
FORMS: Final[tuple[dict[str, Any], ...]] = tuple({"payload": payload} for payload in ORDER)


def form(payloads: Sequence[bytes], forms: Sequence[dict[str, Any]] = FORMS) -> tuple[dict[str, Any], str] | None:
    """The settings, and what was read with them; None where no form takes them."""
    for settings in forms:
        decoder = Decoder(Form(**settings))
        try:
            rows = [decoder.decode(payload, clock.now()) for payload in payloads]
        except BadPayload:
            continue
        if decoder.odd or not decoder.channels or not np.isfinite(rows[-1].values).any():
            continue
        last = rows[-1].values[-1]
        shown = [f"{c.name} {v:.6g}" for c, v in zip(decoder.channels, last, strict=False) if np.isfinite(v)]
        return settings, ", ".join(shown)
    return None
