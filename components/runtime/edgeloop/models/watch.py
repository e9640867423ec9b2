"""How long the inferences that are under way have taken: a model that hangs answers nobody."""

from __future__ import annotations

import time
from collections import deque
from itertools import count
from typing import Final

from edgeloop.models.manifest import Tensor
from edgeloop.models.runners import Runner
from edgeloop.models.runners.base import Array, Inputs

RECENT: Final = 64


class Watched:
    """A runner, and when each inference under way began."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._numbers = count()
        self._began: dict[int, float] = {}
        self._took: deque[float] = deque(maxlen=RECENT)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return self.runner.outputs

    def run(self, inputs: Inputs) -> list[Array]:
        """See Runner."""
        number = next(self._numbers)
        self._began[number] = began = time.monotonic()
        try:
            outputs = self.runner.run(inputs)
        finally:
            del self._began[number]
        self._took.append(time.monotonic() - began)
        return outputs

    def close(self) -> None:
        self.runner.close()

    @property
    def usual(self) -> float:
        """ms that one of the last inferences took at least, the lower quarter of them aside: a busy machine does not
        count. 0 where there were none."""
        took = sorted(self._took)
        return 1e3 * took[len(took) // 4] if took else 0.0

    @property
    def longest(self) -> float:
        """Seconds that the oldest inference under way has taken; 0 where there is none."""
        began = min(tuple(self._began.values()), default=None)
        return 0.0 if began is None else time.monotonic() - began
