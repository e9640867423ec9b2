"""A source that runs and has never brought a sample is no green light."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeloop.sequence import Samples
from sensor_ingest.runner import UNHEARD, Runner
from sensor_ingest.sources.base import Foreseen, Source, SourceConfiguration


class Quiet(Source[Any]):
    def run(self) -> None:
        self.outlet.stop.wait()


class OnlyWritten(Quiet):
    @classmethod
    def foresee(cls, id: str, configuration: Any) -> Foreseen:
        return {}


class Around:
    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def problem(self, key: str, line: str) -> None:
        self.problems[key] = line

    def clear(self, key: str) -> None:
        self.problems.pop(key, None)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


@pytest.mark.parametrize("kind", [Quiet, OnlyWritten])
def test_a_source_that_never_speaks_is_told_from_the_start(kind: Any, tmp_path: Path) -> None:
    around: Any = Around()
    runner = Runner("hall", kind, SourceConfiguration(), around, state=tmp_path / "hall.json", period=0.05)
    begun = time.monotonic()
    runner.start()
    try:
        runner.listen(begun + UNHEARD - 1)
        assert around.problems == {}
        runner.listen(begun + UNHEARD + 60)
        if kind is OnlyWritten:
            assert around.problems == {}
            return
        assert "hall: nothing has come since it was started" in around.problems["source.hall.unheard"]
        runner.put(Samples("hall", np.zeros((1, 1), "<i2"), time=1))
        assert around.problems == {}
        runner.listen(begun + 10 * UNHEARD)
        assert around.problems == {}
    finally:
        runner.end()
        runner.join(30)
