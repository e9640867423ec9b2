"""A class for each place (semantic segmentation), and one-class models with a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.seen import Context, Seen, activated
from edgeloop.models.head import Head


def decode(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """role area: (classes, rows, columns), last axis classes where not channels_first; one plane: the share of label 1;
    whole numbers (rows, columns): the class itself."""
    values = np.asarray(outputs["area"])
    if values.dtype.kind in "iub":
        area = values.reshape(values.shape[-2:]).astype(np.int64)
        if int(area.max(initial=0)) >= len(context.labels):
            raise ValueError(f"class {int(area.max())} of {len(context.labels)} labels")
        return Seen(area=area, certainty=np.ones(area.shape, np.float32))
    planes = values[0] if values.ndim == 4 else values
    planes = planes if head.channels_first or planes.ndim == 2 else planes.transpose(2, 0, 1)
    planes = planes.reshape(-1, *planes.shape[-2:])
    if len(planes) == 1:
        share = activated(planes[0], head.activation)
        return Seen(area=(share >= 0.5).astype(np.int64), certainty=np.maximum(share, 1 - share))
    if len(planes) != len(context.labels):
        raise ValueError(f"{len(planes)} planes for {len(context.labels)} labels")
    shares = activated(planes.transpose(1, 2, 0), head.activation)
    return Seen(area=shares.argmax(axis=2).astype(np.int64), certainty=np.clip(shares.max(axis=2), 0, 1))


def decode_one_class(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles: score (1), heat (rows, columns), at least one of them; without a score the largest heat is it. unlike (1):
    how far the picture is from what was taught."""
    heat = None
    unlike = float(np.asarray(outputs["unlike"], np.float32).ravel()[0]) if "unlike" in outputs else 0.0
    if "heat" in outputs:
        heat = activated(np.asarray(outputs["heat"], np.float32), head.activation)
        heat = heat.reshape(heat.shape[-2:])
    if "score" not in outputs:
        if heat is None:
            raise ValueError("neither score nor heat")
        return Seen(score=float(heat.max()), heat=heat, unlike=unlike)
    values = np.asarray(outputs["score"], np.float32).ravel()
    if len(values) != 1:
        raise ValueError(f"{len(values)} scores for one picture")
    return Seen(score=float(activated(values, head.activation)[0]), heat=heat, unlike=unlike)
