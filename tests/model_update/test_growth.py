"""The memory of ModelUpdate over many rounds: a model that serves, one that cannot be fetched, changing wishes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.harness.growth import MOST, grown

SHORT, LONG = 4_000, 1_000_000


@pytest.mark.parametrize("rounds", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_rounds(tmp_path: Path, make: Any, rounds: int) -> None:
    if rounds == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million rounds take minutes")
    path, _ = make(1.0)
    root = tmp_path / "root"
    root.mkdir()
    shutil.copyfile(path, root / "linear.tar")
    found = grown(Path(__file__).with_name("growth_process.py"), root, rounds)
    assert found.count == rounds // 10, found.said
    assert found.end - found.quarter < MOST, f"{found.a_round(rounds):.0f} bytes a round"
