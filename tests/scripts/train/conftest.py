"""Recordings of a healthy simulated machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray

from edgeloop.clock import NS, rfc3339
from edgeloop.layout import raw_key
from edgeloop.sim.machine import Machine
from edgeloop.sim.spec import Spec
from edgeloop_tools.cli import main

BEGAN = 1_767_225_600 * NS
NAMES = ("temperature", "current", "pressure", "speed")
UNITS = ("Cel", "A", "bar", "{rev}/min")
SEED, ROWS = 7, 36_000
"""An hour at 10 Hz."""

Rows = NDArray[np.float32]
Train = Callable[..., dict[str, Any]]


def csv(path: Path, values: Rows, names: Sequence[str] = NAMES, *, first: int = 0, step: int = NS // 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"time,{','.join(names)}"]
    for i, row in enumerate(values.tolist(), first):
        lines.append(f"{rfc3339(BEGAN + i * step)},{','.join(f'{v:.6g}' for v in row)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def parquet(folder: Path, values: Rows, *, stream: str = "press1_slow") -> Path:
    """As StreamUpload writes it, in two files."""
    half = len(values) // 2
    for first, last in ((0, half), (half, len(values))):
        n = last - first
        times = BEGAN + np.arange(first, last) * (NS // 10)
        columns = {"time": pa.array(times, pa.timestamp("ns", "UTC"))}
        columns |= {name: pa.array(values[first:last, i]) for i, name in enumerate(NAMES)}
        columns |= {
            "device": pa.array(["core1"] * n), "epoch": pa.array(np.full(n, 5, np.uint64)),
            "index": pa.array(np.arange(first, last)), "quality": pa.array(np.zeros(n, np.uint8)),
        }  # fmt: skip
        table = pa.table(columns)
        for name, unit in zip(NAMES, UNITS, strict=True):
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(at).with_metadata({b"unit": unit.encode()}), table[name])
        path = folder / raw_key("plant", stream, "2026-01-01", "synced", "core1", 5, first, last - 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return folder


@pytest.fixture(scope="session")
def healthy() -> Rows:
    values: Rows = Machine(Spec("press1", stops=False), SEED).slow(0, ROWS)
    return values


@pytest.fixture
def short(healthy: Rows) -> Rows:
    """Ten minutes."""
    return healthy[:6000]


@pytest.fixture
def train(capsys: pytest.CaptureFixture[str]) -> Train:
    """The verb, and what it says as JSON."""

    def run(*words: str | Path) -> dict[str, Any]:
        assert main(["train", "timeseries", "--json", *map(str, words)]) == 0, capsys.readouterr().err
        said: dict[str, Any] = json.loads(capsys.readouterr().out)
        return said

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The one line with which the verb fails."""

    def run(*words: str | Path) -> str:
        assert main(["train", "timeseries", *map(str, words)]) == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if line]
        assert len(lines) == 1, lines
        return lines[0]

    return run
