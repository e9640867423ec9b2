"""The pictures that a package is made with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from camera_inference.pictures import decode
from camera_inference.sources import STILLS
from edgeloop.errors import EdgeloopError
from edgeloop_tools.model.evidence import Picture

MOST: Final = 400


def read(folder: Path | None, most: int = MOST) -> tuple[list[Picture], list[str]]:
    """Pictures below a folder, spread evenly where there are more, and lines about those that cannot be read."""
    if folder is None:
        return [], []
    if not folder.is_dir():
        raise EdgeloopError("there is no such folder of pictures", where=str(folder), mend="correct its path")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in STILLS and p.is_file())
    if not paths:
        raise EdgeloopError("the folder has no pictures", where=str(folder), why="none is called *.jpg, *.png, …")
    chosen = [paths[k] for k in np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))]
    found, lines = [], []
    for path in chosen:
        try:
            image = decode(path.read_bytes(), str(path))
        except (EdgeloopError, OSError) as error:
            lines.append(str(error))
            continue
        group = path.parent.relative_to(folder).parts[:1]
        found.append(Picture(path.stem, image, group[0] if group else ""))
    if not found:
        raise EdgeloopError("no picture of the folder can be read", where=str(folder), why=lines[0])
    return found, lines


def stand_ins(width: int, height: int) -> list[Picture]:
    """Pictures for a golden set where none were given: smooth spots of all colours. Nothing is judged by them."""
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        image = np.full((height, width, 3), 90, np.float32)
        for _ in range(12):
            cx, cy, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.05, 0.25) * min(width, height)
            spot = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * size * size))
            image += spot[:, :, None] * rng.uniform(-80, 120, 3).astype(np.float32)
        image += rng.normal(0, 4, image.shape).astype(np.float32)
        found.append(Picture(f"stand-in {seed}", np.clip(image, 0, 255).astype(np.uint8)))
    return found
