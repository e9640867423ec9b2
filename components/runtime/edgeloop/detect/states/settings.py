"""What a condition detector is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ConditionSettings:
    """One configuration for all machines; deviations are in spreads of the channel's own healthy level.

    step: seconds between rows; learn: rows of the learning window; budget: log10 s between false alarms.
    width: rows over which a level is averaged, exponentially weighted.
    memory: rows after which a centre has followed a change by 63 %.
    off: share of the alarm level below which everything is normal again, for `hold` rows.
    back: share of the largest deviation below which a condition is over though its channels do not quite come back to
        where they were, if so for `settle` rows. They start again from where they are.
    leash: spreads that a centre may wander from where it was learned.
    quick: rows over which the level is averaged that shows when a channel starts and ceases to move.
    move: spreads at which it moves; `still`: share of them at which it moves no more.
    transfer: rows from which the centre of a further context is taken.
    prior: of release 0.1.0; nothing reads it.
    adapt: rows after which a steady abnormal state is a new normal; 0: never.
    """

    step: float
    learn: int
    budget: float = 5.78
    width: int = 14
    memory: int = 300
    off: float = 0.4
    hold: int = 3
    back: float = 0.4
    settle: int = 20
    leash: float = 10.0
    quick: int = 4
    move: float = 4.0
    still: float = 0.5
    transfer: int = 30
    prior: float = 2.5
    adapt: int = field(default=0, repr=False)

    @property
    def block(self) -> int:
        """Rows of a block, of which the tail learns the largest."""
        return min(max(self.learn // 24, 4), 16)

    def __post_init__(self) -> None:
        if self.learn < 4 * self.width:
            raise ValueError(f"learn={self.learn}: at least {4 * self.width} rows (four times width)")


@dataclass(frozen=True, slots=True)
class ConditionScores:
    """Row by row. return_time (n,): log10 s between healthy rows like it; 0 while learning.

    abnormal, changepoint, learning: (n,); settled: (n,) where an abnormal state has become a new normal; returned: (n,)
    where a former normal is back; z: (n, channels), signed deviation of each channel's level in its spreads.
    """

    return_time: Float
    abnormal: Bool
    changepoint: Bool
    z: Float
    learning: Bool
    settled: Bool
    returned: Bool
