"""What every detector is: rows in, scores out, words about them. One folder each; `registry` knows them by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.alarms import Contribution
from edgeloop.detect.features import Feature
from edgeloop.errors import EdgeloopError

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
State = dict[str, NDArray[np.generic]]
Words = tuple[str, tuple[Contribution, ...]]
"""What is unusual, in English, and what each channel has to do with it, the largest first."""

Tells = Literal["event", "condition", "model"]
"""Single points; a state that lasts; a state that lasts, by a model beside the streaming detectors."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows of a stream. times (n,): ns UTC; values (n, c): NaN where missing.

    samples (m, channels): what the rows are made from, unmasked; the rows' own channels where m = n, a block of a fast
    stream where there is one row of features.
    """

    times: NDArray[np.int64]
    values: Float
    samples: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Context:
    """name: in which the rows were taken, a product or tool; empty where there is one only. demand: the return time
    that a condition needs now, log10 s, None: the budget's; base: had nothing been spent. overdraft: points told
    beyond the budget; watched: budgets' times that were watched."""

    name: str = ""
    demand: float | None = None
    base: float | None = None
    overdraft: float = 0.0
    watched: float = 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """Of n rows, all (n,). return_time: log10 s between healthy rows like it; alert: what the detector decides: a
    state that lasts, or a point; changepoint: something began or ceased there; learning: not judged yet.

    settled: a state that lasted has become a new normal there; returned: a former normal is back. channel: the column
    that an event is about.
    """

    return_time: Float
    alert: Bool
    changepoint: Bool
    learning: Bool
    channel: NDArray[np.intp]
    settled: Bool
    returned: Bool

    @classmethod
    def none(cls, n: int) -> Scores:
        """Nothing to say."""
        a, b, c, d, e = np.zeros((5, n), dtype=np.bool_)
        return cls(np.zeros(n), a, b, c, np.zeros(n, dtype=np.intp), d, e)


class Detector(Protocol):
    """Scores do not depend on how rows are split over calls, and on the rows up to their own alone."""

    @property
    def learned(self) -> float:
        """Share of the learning window that is there, 0 to 1."""

    def update(self, rows: Rows, context: Context) -> Scores: ...

    def words(self, at: int) -> Words:
        """Of a row of the last update."""

    def interrupt(self) -> None:
        """The rows that follow do not continue those before; what was learned stays."""

    def calm(self) -> None:
        """What was abnormal is over, whatever the rows say: the machine stands."""

    def relearn(self) -> None:
        """Forget: the process has changed."""

    def accept(self) -> None:
        """What has become normal is the normal: a former one is forgotten."""

    def state(self) -> State: ...

    def restore(self, state: Mapping[str, NDArray[np.generic]]) -> bool:
        """False where the state is of other features or settings, and is not taken."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a detector is made for. Times in s; budget: log10 s between false alarms that are acceptable.

    columns: of the rows' values; channels: those of the stream itself, which come first; step: between rows; rate: of
    the samples, Hz; features: what a row's first values are where it is made from a block, empty where rows are values.
    adapt: after which a steady abnormal state is a new normal; 0: never. models, provider: names, and where from.
    """

    monitor: str
    columns: tuple[str, ...]
    channels: tuple[str, ...]
    step: float
    rate: float
    budget: float
    learn: float = 60.0
    memory: float = 20.0
    confirm: float = 0.5
    recover: float = 1.0
    adapt: float = 0.0
    features: tuple[Feature, ...] = ()
    models: tuple[str, ...] = ()
    provider: Callable[[str], Any] = field(default=lambda name: None)


@dataclass(frozen=True, slots=True)
class DetectorType:
    """schema: of its state; reads: the schemas that `restore` understands. cost: measured; source: where it is from."""

    name: str
    tells: Tells
    make: Callable[[Setup], Detector]
    schema: int
    cost: str
    source: str
    reads: tuple[int, ...] = (1,)


class Registry:
    """Detectors by name.

    >>> registry = Registry()
    >>> registry.add(DetectorType("mine", "condition", lambda setup: ..., 1, "1 µs a row", "own"))
    >>> registry["mine"].tells, registry.names
    ('condition', ('mine',))
    """

    def __init__(self) -> None:
        self._types: dict[str, DetectorType] = {}
        self._refused: dict[str, str] = {}

    def add(self, kind: DetectorType) -> None:
        """Raises EdgeloopError where the name is taken."""
        if kind.name in self._types:
            raise EdgeloopError("two detectors of one name", where=kind.name, mend="rename one of them")
        self._types[kind.name] = kind

    def refuse(self, name: str, why: str) -> None:
        """It is there, and cannot be used."""
        self._refused[name] = why

    def __getitem__(self, name: str) -> DetectorType:
        if name not in self._types:
            why = self._refused.get(name, "nothing has this name")
            mend = f"there are {', '.join(self.names)}"
            raise EdgeloopError("no such detector", where=f"detect: {name}", why=why, mend=mend)
        return self._types[name]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._types)
