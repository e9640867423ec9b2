"""A small upload of two sites with known truth."""

from __future__ import annotations

from pathlib import Path

from edgeloop_tools.analyse.fleet import Fleet, upload

FLEET = Fleet(seed=1, sites=2, assets=2, days=3)


def make(folder: Path) -> None:
    """24 hours a day, but one day of each asset of one site, which has 12."""
    means = FLEET.means()
    upload(folder, FLEET, means, files=2)
    for path in folder.glob("raw/schema=2/site=site2/*/date=2026-01-03/*/*_60-71.parquet"):
        path.unlink()
