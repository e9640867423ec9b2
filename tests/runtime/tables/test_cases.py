"""Tables of the field and what should come of each, from a folder: EDGELOOP_CASES, or the few beside this file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgeloop.errors import EdgeloopError
from edgeloop.tables import Options, Whole, read

CASES = Path(os.environ.get("EDGELOOP_CASES") or Path(__file__).parent / "cases")
OPTIONS = ("time", "form", "dayfirst", "zone", "decimal", "thousands", "skip", "by", "value", "sheet")


def described(name: str) -> dict[str, Any]:
    path = CASES / name
    return yaml.safe_load(path.read_text()) if path.is_file() else {}


TABLES = described("tables.yaml")
FILES = described("csv.yaml")


def file(name: str) -> Path:
    return next(path for path in sorted((CASES / "tables").glob(f"{name}.*")))


def outcome(path: Path, options: Options | None = None) -> Whole | str:
    try:
        return read(path, options)
    except EdgeloopError as error:
        return str(error)


def names_an_option(line: str) -> bool:
    return any(f"`{option}" in line or f"--{option}" in line or f" {option}:" in line for option in OPTIONS)


@pytest.mark.parametrize("name", TABLES)
def test_a_table(name: str) -> None:
    should = TABLES[name]["should"]
    found = outcome(file(name))
    if isinstance(found, str):
        assert isinstance(should, str)
        assert "refused" in should
        assert names_an_option(found), found
        assert "\n" not in found
        return
    assert found.times is not None
    stated = dict(should) if isinstance(should, dict) else {}
    like = stated.get("like", "00_iso" if "00_iso" in str(should) else None)
    first = np.datetime64(int(found.times[0]), "ns")
    if like and name != like:
        other = read(file(like))
        assert other.times is not None
        assert len(found.times) == len(other.times)
        assert (np.diff(found.times) == np.diff(other.times)).all()
        if "first" not in stated:
            assert found.times[0] == other.times[0]
        if "temp" not in stated:
            np.testing.assert_allclose(found.values, other.values)
    if "first" in stated:
        assert first == np.datetime64(str(stated["first"]).partition(",")[0].rstrip("Z"), "ns")
    if isinstance(stated.get("temp"), float):
        assert found.values[0, found.at("temp")] == stated["temp"]
    if "rows" in stated:
        assert len(found.rows) == stated["rows"]
    if "fault" in stated:
        low, high = stated["fault"]
        assert np.flatnonzero(found.values[:, found.at("label")]).tolist() == list(range(low, high + 1))
    if "units" in stated:
        units = {c.name: c.unit for c in found.channels}
        assert {n: units[n] for n in stated["units"]} == stated["units"]
    if "channels" in stated:
        assert sum(c.name != "label" for c in found.channels) == stated["channels"]
    if "refused_rows" in stated:
        assert len(found.bad) == stated["refused_rows"]
    if "missing in the first 199 rows" in str(stated.get("temp", "")):
        assert np.flatnonzero(np.isnan(found.values[:, found.at("temp")])).tolist() == list(range(199))
    if "zone America/New_York" in str(should):
        zoned = read(file(name), Options(zone="America/New_York"))
        assert zoned.times is not None
        assert np.datetime64(int(zoned.times[0]), "ns") == np.datetime64("2024-03-10T03:00:00")
        assert len(set(np.diff(zoned.times))) == 1
        assert "UTC assumed" in found.understood
        assert "the hour from 2024-03-10 02:00:00 to 2024-03-10 03:00:00 lacks" in found.understood


@pytest.mark.parametrize("name", FILES)
def test_a_file(name: str) -> None:
    """What is read is whole, or what is not is told; or it is refused, naming what decides."""
    found = outcome(CASES / name)
    if isinstance(found, str):
        assert names_an_option(found), found
        return
    assert found.times is not None
    assert (np.diff(found.times) > 0).all()
    assert not found.bad or "refused" in found.understood
    missing = int(np.isnan(found.values).sum())
    assert not missing or "missing" in found.understood or name.endswith(".parquet")
