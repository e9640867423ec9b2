"""The memory of CameraInference over many parts, with its book and its upload queue on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeloop_tools.harness.growth import MOST, grown

SHORT, LONG = 5_000, 1_000_000


@pytest.mark.parametrize("parts", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_parts(tmp_path: Path, parts: int) -> None:
    if parts == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million parts take minutes")
    found = grown(Path(__file__).with_name("growth_process.py"), tmp_path, parts)
    assert found.count == parts, found.said
    assert found.end - found.quarter < MOST, f"{found.a_round(parts):.0f} bytes a part"
