"""The page that leads through the house: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "components"
PAGE = (HOUSE / "README.md").read_text()
LINKS = re.findall(r"\]\(([^)#]+)\)", PAGE)
NAMES = re.findall(r"`([\w/]+/(?:\w+\.py)?)`", PAGE.partition("## A stranger")[2])


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_every_link_of_the_way_leads_somewhere(link: str) -> None:
    assert (HOUSE / link).exists()


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_answer_names_what_is_there(name: str) -> None:
    places = [HOUSE, HOUSE.parent, HOUSE / "runtime" / "edgeloop"]
    assert any((place / name).exists() for place in places)


def test_the_way_goes_through_every_component() -> None:
    packages = {path.parent.name for path in HOUSE.glob("*/declaration.py")} - {"runtime", "console", "video_upload"}
    assert len(LINKS) > 20
    assert len(NAMES) > 10
    assert [package for package in sorted(packages) if f"{package}/" not in PAGE] == []
