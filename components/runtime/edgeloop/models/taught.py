"""Where a device keeps what it was taught: in CameraInference's work folder, a file for each package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

OWNER: Final = "io.edgeloop.CameraInference"


def folder(root: Path) -> Path:
    """root: of the nucleus."""
    return root / "work" / OWNER / "taught"


def place(root: Path, name: str, digest: str) -> Path:
    return folder(root) / f"{name}-{digest[:16]}.tar"
