"""The memory of SensorIngest over many ticks, with everything real: a bus, a journal, a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.harness.growth import MOST, grown

SHORT, LONG = 4_000, 1_000_000


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
    nucleus = {"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(plant.socket), "SVCUID": plant.token}
    found = grown(Path(__file__).with_name("growth_process.py"), plant.root, ticks, nucleus)
    assert found.count == 64 * ticks, found.said
    assert found.end - found.quarter < MOST, f"{found.a_round(ticks):.0f} bytes a tick"
