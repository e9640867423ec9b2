"""A small upload with known truth: the velocity of one of six presses creeps by 0.4 % a day for three weeks."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from edgeloop_tools.analyse.fleet import Fleet, upload

FLEET: Final = Fleet(seed=5, sites=2, assets=3, days=44)
WORN: Final = 4
ONSET: Final = 23
MEANS: Final = FLEET.means()
MEANS[WORN, 1] *= 1 + 0.004 * np.maximum(0, np.arange(FLEET.days) - ONSET)


def make(folder: Path) -> None:
    upload(folder, FLEET, MEANS)
