"""A small upload with known truth: one of eight presses vibrates 1.6 times as much."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgeloop_tools.analyse.fleet import Fleet, upload

FLEET: Final = Fleet(seed=3, sites=2, assets=4, days=6)
UNLIKE: Final = 5
MEANS: Final = FLEET.means()
MEANS[UNLIKE, 0] *= 1.6


def make(folder: Path) -> None:
    upload(folder, FLEET, MEANS)
