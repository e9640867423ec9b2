"""Waiting for packages that the Runtime is still installing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import locks
from edgeloop import optional, profiles


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a package has to appear for the profile `vision` to be whole."""
    place = tmp_path / "site-packages"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setitem(optional.PROFILES, "edgeloop_comes_later", "vision")
    return place / "edgeloop_comes_later.py"


def asked(root: Path, *words: str) -> None:
    folder = root / "work" / profiles.RUNTIME
    folder.mkdir(parents=True)
    (folder / profiles.ASKED).write_text(" ".join(words))


def test_it_goes_on_when_the_packages_are_there(later: Path, tmp_path: Path) -> None:
    asked(tmp_path, "core", "vision")
    said: list[str | None] = []
    pauses = iter(range(5))

    def pause(seconds: float) -> bool:
        if next(pauses) == 3:
            later.touch()
        return False

    assert profiles.wait("vision", tmp_path, pause, lambda key, line: said.append(line))
    assert said[0] == ("waiting for edgeloop_comes_later (profile 'vision'): io.edgeloop.Runtime is making it")
    assert said[-1] is None
    assert len(said) == 5
    assert profiles.wait("vision", tmp_path, pause, lambda key, line: said.append(line)), "at once"


def test_a_larger_profile_brings_its_part() -> None:
    of_mqtt = {name for name, of in optional.PROFILES.items() if of == "mqtt"}
    assert "paho" in of_mqtt
    assert not optional.brought("protocols", ["core", "mqtt"])
    assert optional.brought("mqtt", ["core", "protocols"])
    smaller, larger = (
        set(re.findall(r"^[a-z0-9-]+==\S+", locks.read(name), re.MULTILINE)) for name in ("mqtt", "protocols")
    )
    assert smaller < larger
    assert not any(pin.startswith(("asyncua", "cryptography", "pymodbus")) for pin in smaller)


def test_it_ends_with_the_component(later: Path, tmp_path: Path) -> None:
    assert not profiles.wait("vision", tmp_path, lambda seconds: True, lambda key, line: None)


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["core"], "add 'vision' to profiles of io.edgeloop.Runtime"),
        (["core", "vision"], "look at the log of io.edgeloop.Runtime"),
    ],
)
def test_it_does_not_wait_for_ever(
    later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], mend: str
) -> None:
    asked(tmp_path, *words)
    monkeypatch.setattr(profiles, "NOT_ASKED", 0.0)
    monkeypatch.setattr(profiles, "BEING_MADE", 0.0)
    said: list[str | None] = []
    assert not profiles.wait("vision", tmp_path, lambda seconds: False, lambda key, line: said.append(line))
    assert said == [f"edgeloop_comes_later did not come in 0 s; {mend}"]
