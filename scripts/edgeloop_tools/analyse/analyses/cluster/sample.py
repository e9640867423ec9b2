"""A small upload with known truth: twelve presses of two families."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from edgeloop_tools.analyse.fleet import Fleet, upload

FLEET: Final = Fleet(seed=6, sites=2, assets=6, days=4)
FAMILY: Final = tuple(int(n % 3 == 0) for n in range(12))
MEANS: Final = FLEET.means()
for _number, _family in enumerate(FAMILY):
    MEANS[_number, 0] *= 1 + 0.4 * _family
    MEANS[_number, 1] *= 1 - 0.3 * _family


def make(folder: Path) -> None:
    upload(folder, FLEET, MEANS)
