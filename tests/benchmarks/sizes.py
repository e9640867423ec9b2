"""Bytes of each zip application, what travels when code changes: `python tests/benchmarks/sizes.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeloop_tools.bench.suite import show
from edgeloop_tools.build import build

LIMIT = 300_000
CHECKOUT = Path(__file__).resolve().parents[2]


def run() -> dict[str, Any]:
    """Builds, and returns name → bytes, with the limit and the largest's share of it."""
    build()
    found = {p.name: p.stat().st_size for p in sorted((CHECKOUT / "artifacts").glob("*/*/*.pyz"))}
    return {**found, "limit": LIMIT, "largest_of_limit": max(found.values()) / LIMIT}


if __name__ == "__main__":
    print(show(run()))
