"""A small upload with known truth: the velocity of one of two presses grows by 0.05 a day, from about 4."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edgeloop_tools.analyse.fleet import Fleet, upload

FLEET: Final = Fleet(seed=4, sites=1, assets=2, days=30)
SLOPE: Final = 0.05
MEANS: Final = FLEET.means()
MEANS[1, 1] += SLOPE * np.arange(FLEET.days)


def make(folder: Path) -> None:
    upload(folder, FLEET, MEANS)
