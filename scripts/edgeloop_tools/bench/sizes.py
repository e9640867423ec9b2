"""What travels to a device when code changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LIMIT = 200_000
CHECKOUT = Path(__file__).resolve().parents[3]


def run() -> dict[str, Any]:
    """Builds, and returns name → bytes, with the limit and the largest's share of it."""
    from edgeloop_tools.build import build

    build()
    found = {p.name: p.stat().st_size for p in sorted((CHECKOUT / "artifacts").glob("*/*/*.pyz"))}
    return {**found, "limit": LIMIT, "largest_of_limit": max(found.values()) / LIMIT}
