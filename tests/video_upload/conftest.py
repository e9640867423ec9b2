"""Real processes of CameraInference and VideoUpload on a real bus, and the other side on loopback: see plant.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.bench.suite import load

made: Any = load(Path(__file__).with_name("plant.py"))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Any]:
    line = made.Plant(tmp_path)
    yield line
    line.close()


@pytest.fixture
def model() -> Iterator[Any]:
    behind = made.Model()
    yield behind
    behind.close()
