"""Pictures of parts that CameraInference kept: evidence of what failed, and examples that wait for their upload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edgeloop.queue import folder as queue_folder

OWNER: Final = "io.edgeloop.CameraInference"
LARGEST: Final = 16 << 20
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def find(root: Path, camera: str, time: int) -> bytes | None:
    """The JPEG of the part decided from the frame at `time` (ns UTC); None where none was kept."""
    if not _ID.fullmatch(camera):
        return None
    evidence = root / "work" / OWNER / "evidence" / camera / f"{time}.jpg"
    examples = queue_folder(root, OWNER).glob(f"[0-9]*-hard_examples/{camera}_{time}.jpg")
    for path in (evidence, *examples):
        try:
            if path.stat().st_size <= LARGEST:
                return path.read_bytes()
        except OSError:
            continue
    return None


def kept(root: Path, camera: str) -> set[int]:
    """Times of the parts of which there is a picture."""
    if not _ID.fullmatch(camera):
        return set()
    evidence = (root / "work" / OWNER / "evidence" / camera).glob("[0-9]*.jpg")
    examples = queue_folder(root, OWNER).glob(f"[0-9]*-hard_examples/{camera}_[0-9]*.jpg")
    stems = [path.stem.removeprefix(f"{camera}_") for path in (*evidence, *examples)]
    return {int(stem) for stem in stems if stem.isdigit()}
