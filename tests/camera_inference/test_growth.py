"""The memory of CameraInference over many parts, with its book and its upload queue on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT, LONG = 5_000, 1_000_000
MOST = 4_096
"""kB."""


@pytest.mark.parametrize("parts", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_parts(tmp_path: Path, parts: int) -> None:
    if parts == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million parts take minutes")
    folders = [ROOT / "components", ROOT / "components" / "runtime", ROOT / "scripts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    script = Path(__file__).with_name("growth_process.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(parts)], env=environment, text=True, capture_output=True
    )
    quarter, end, count = (int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("growth"))
    assert count == parts, run.stderr[-2000:]
    assert end - quarter < MOST, f"{(end - quarter) * 1024 / (0.75 * parts):.0f} bytes a part"
