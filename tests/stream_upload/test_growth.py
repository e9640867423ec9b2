"""The memory of StreamUpload over many passes: a real journal and spool, a cloud that takes everything at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT, LONG = 2_000, 1_000_000
MOST = 4_096
"""kB."""


@pytest.mark.parametrize("passes", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_passes(tmp_path: Path, passes: int) -> None:
    if passes == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million passes take an hour")
    folders = [ROOT / "components", ROOT / "components" / "runtime", ROOT / "scripts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    script = Path(__file__).with_name("growth_process.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(passes)], env=environment, text=True, capture_output=True
    )
    quarter, end, objects = (int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("growth"))
    assert objects > passes // 100, run.stderr[-2000:]
    assert end - quarter < MOST, f"{(end - quarter) * 1024 / (0.75 * passes):.0f} bytes a pass"
