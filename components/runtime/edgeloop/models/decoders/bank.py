"""Features compared with those that are kept in the package: PatchCore's memory bank, and a gallery of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders.seen import Context, Floats, Seen
from edgeloop.models.head import Head


def decode_memory(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """roles in their order: features (d, rows, columns), all brought to the finest. The file has `bank` (n, d). Heat is
    the distance to the nearest, score the largest of it (Roth et al., 2022, without its reweighting)."""
    patches, down, across = patches_of([values for role, values in sorted(outputs.items())])
    distance = nearest(patches, np.asarray(context.arrays["bank"], np.float32))
    return Seen(score=float(distance.max()), heat=distance.reshape(down, across))


def decode_embedding(head: Head, outputs: Mapping[str, NDArray[Any]], context: Context) -> Seen:
    """role vector: (d). The file has `gallery` (n, d) of length 1 and `names` (n), numbers of labels."""
    vector = unit(np.asarray(outputs["vector"], np.float32).ravel()[None])[0]
    gallery = context.arrays.get("gallery")
    if gallery is None or not len(gallery):
        return Seen(vector=vector)
    alike = np.asarray(gallery, np.float32) @ vector
    order = np.argsort(-alike)[: head.neighbours]
    names = np.asarray(context.arrays["names"], np.int64)[order]
    votes = np.bincount(names, weights=np.maximum(alike[order], 1e-6), minlength=len(context.labels))
    name = int(votes.argmax())
    return Seen(vector=vector, name=context.labels[name], likeness=float(alike[order][names == name].max()))


def patches_of(maps: list[NDArray[Any]]) -> tuple[Floats, int, int]:
    """(rows · columns, d), rows, columns. Each place with the mean of the 3 × 3 around it."""
    found = [np.asarray(m, np.float32) for m in maps]
    found = [m.reshape(-1, *m.shape[-2:]) for m in found]
    down, across = max(m.shape[1] for m in found), max(m.shape[2] for m in found)
    layers = []
    for m in found:
        padded = np.pad(m, ((0, 0), (1, 1), (1, 1)), mode="edge")
        mean = sum(padded[:, i : i + m.shape[1], j : j + m.shape[2]] for i in range(3) for j in range(3)) / 9
        rows_ = np.arange(down) * m.shape[1] // down
        columns = np.arange(across) * m.shape[2] // across
        layers.append(np.asarray(mean)[:, rows_][:, :, columns])
    whole = np.concatenate(layers)
    return np.ascontiguousarray(whole.reshape(len(whole), -1).T), down, across


def nearest(patches: Floats, bank: Floats) -> Floats:
    """Distance of each patch to the nearest of the bank."""
    squares = np.square(patches).sum(axis=1)[:, None] - 2 * patches @ bank.T + np.square(bank).sum(axis=1)[None]
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0)), np.float32)


def unit(vectors: Floats) -> Floats:
    """Each of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)
