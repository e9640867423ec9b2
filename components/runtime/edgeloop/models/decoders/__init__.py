"""What the outputs of a model mean, by the head that its manifest names.

The same code at packaging, in the trial and at the camera: what cannot be read never gets there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.decoders import areas, bank, boxes, centernet, classes, points, ssd, yolo
from edgeloop.models.decoders.seen import Context, Seen, refused
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.head import Head
from edgeloop.models.manifest import Image, Manifest

__all__ = ["Context", "Decoder", "Seen", "make"]

Array = NDArray[Any]
Decode = Callable[[Head, Mapping[str, Array], Context], Seen]
DECODERS: Final[dict[str, Decode]] = {
    "boxes": boxes.decode, "yolo": yolo.decode, "yolo_end": yolo.decode_end, "ssd": ssd.decode,
    "points": points.decode, "centernet": centernet.decode, "classification": classes.decode,
    "segmentation": areas.decode, "one_class": areas.decode_one_class, "memory_bank": bank.decode_memory,
    "embedding": bank.decode_embedding, "keypoints": points.decode_keypoints,
}  # fmt: skip


class Decoder:
    """Reads the outputs of one model. Safe on any thread."""

    def __init__(self, manifest: Manifest, arrays: Mapping[str, Array] | None = None) -> None:
        """arrays: those of the head's file. Raises ModelRefused where head and outputs do not fit."""
        assert manifest.head is not None
        images = [p for p in manifest.preprocessing if isinstance(p, Image)]
        if len(images) != 1:
            raise ModelRefused("a head reads what a model says of one image", Reason.HEAD, why=f"{len(images)} images")
        self.head = manifest.head
        names = [tensor.name for tensor in manifest.outputs]
        if unknown := sorted(set(self.head.roles.values()) - set(names)):
            raise ModelRefused(
                "the head reads outputs that the model does not have", Reason.HEAD, why=", ".join(unknown)
            )
        self._places = {role: names.index(name) for role, name in self.head.roles.items()}
        self._decode = DECODERS[self.head.decoder]
        self._context = Context(images[0].width, images[0].height, manifest.labels, dict(arrays or {}))

    def __call__(self, outputs: list[Array]) -> Seen:
        """Raises ModelError where the outputs are not what the head says."""
        found = {}
        for role, place in self._places.items():
            values = np.asarray(outputs[place])
            if values.dtype.kind == "f":
                values = values.astype(np.float32, copy=False)
                if not np.isfinite(values).all():
                    raise ModelError("the model gave no number", why=f"output {place} has NaN or infinity")
            found[role] = values
        try:
            return self._decode(self.head, found, self._context)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            shapes = ", ".join(f"{role} {values.shape}" for role, values in found.items())
            raise refused(f"{type(error).__name__}: {error}; {shapes}") from error


def make(manifest: Manifest, folder: Path | None) -> Decoder | None:
    """That of a package; None where it names no head. Raises ModelRefused."""
    head = manifest.head
    if head is None:
        return None
    arrays: dict[str, Array] = {}
    if head.file:
        if folder is None or head.file not in manifest.files:
            raise ModelRefused("the head's file is missing", Reason.HEAD, where=head.file)
        try:
            with np.load(folder / head.file, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError) as error:
            raise ModelRefused("the head's file cannot be read", Reason.HEAD, where=head.file, why=str(error)) from None
    return Decoder(manifest, arrays)
