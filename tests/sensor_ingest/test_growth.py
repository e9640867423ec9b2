"""The memory of SensorIngest over many ticks, with everything real: a bus, a journal, a source."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHORT, LONG = 4_000, 1_000_000
MOST = 4_096
"""kB: what leaks a kilobyte a tick is found in the short form."""


@pytest.mark.parametrize("ticks", [SHORT, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.timeout(7200)
def test_memory_does_not_grow_with_ticks(plant: Any, ticks: int) -> None:
    if ticks == LONG and "EDGELOOP_LONG" not in os.environ:
        pytest.skip("EDGELOOP_LONG is not set: a million ticks take half an hour")
    source = {"type": "process", "command": "sleep 7200", "rate": "25600 Hz", "dtype": "<i2"}
    plant.configure(
        sources={"line": {**source, "channels": dict.fromkeys("xyz", "m/s2")}},
        journal={"segment": "1 MiB", "budget": "8 MiB"},
    )
    environment = {
        **os.environ,
        "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(plant.socket),
        "SVCUID": plant.token,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "components"), str(ROOT / "components" / "runtime")]),
    }
    script = Path(__file__).with_name("growth_process.py")
    run = subprocess.run(
        [sys.executable, str(script), str(plant.root), str(ticks)], env=environment, text=True, capture_output=True
    )
    quarter, end, samples = (int(line.split()[1]) for line in run.stdout.splitlines() if line.startswith("growth"))
    assert samples == 64 * ticks, run.stdout[-3000:]
    assert end - quarter < MOST, f"{(end - quarter) * 1024 / (0.75 * ticks):.0f} bytes a tick"
