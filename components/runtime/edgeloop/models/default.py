"""Models that come along with a component."""

from __future__ import annotations

from pathlib import Path


def default_model(name: str) -> Path | None:
    """The archive of a model that came with the component: beside its zip application, or in a checkout."""
    folder = Path(__file__).resolve().parents[3]
    for path in (folder / f"{name}.tar", folder / "models" / name / f"{name}.tar"):
        if path.is_file():
            return path
    return None
