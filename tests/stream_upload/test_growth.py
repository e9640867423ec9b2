"""The memory of StreamUpload over many passes: a real journal and spool, a cloud that takes everything at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeloop_tools.harness.growth import MOST, grown

SHORT, LONG = 2_000, 1_000_000


@pytest.mark.parametrize("passes", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_passes(tmp_path: Path, passes: int) -> None:
    if passes == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million passes take an hour")
    found = grown(Path(__file__).with_name("growth_process.py"), tmp_path, passes)
    assert found.count > passes // 100, found.said
    assert found.end - found.quarter < MOST, f"{found.a_round(passes):.0f} bytes a pass"
