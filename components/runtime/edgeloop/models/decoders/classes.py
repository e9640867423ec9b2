"""Classification: logits, probabilities, or several labels at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.seen import Context, Seen, activated
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """role scores: one for each label; one alone for two labels is the chance of the second."""
    values = activated(np.asarray(outputs["scores"], np.float32).ravel(), head.activation)
    if len(values) == 1 and len(context.labels) == 2:
        values = np.concatenate([1 - values, values])
    if len(values) != len(context.labels):
        raise ValueError(f"{len(values)} values for {len(context.labels)} labels")
    return Seen(chances=np.clip(values, 0, 1), heat=_heat(outputs))


def _heat(outputs: Mapping[str, NDArray[Any]]) -> Any:
    if "heat" not in outputs:
        return None
    values = np.asarray(outputs["heat"], np.float32)
    return values.reshape(values.shape[-2:])
