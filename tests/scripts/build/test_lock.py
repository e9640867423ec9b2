from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import packages
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import lock, wheelhouse


def test_unknown_profiles_are_one_line(tmp_path: Path) -> None:
    known = "core, vision, upload, mqtt, protocols, neo, video, console"
    with pytest.raises(EdgeloopError, match=f"no such profile: audio; one of {known}$"):
        wheelhouse.wheelhouse(["audio"], "3.11", "x86_64", tmp_path)
    with pytest.raises(EdgeloopError, match="no such profile: audio; one of core, .*tables$"):
        lock.lock(["audio"])


@pytest.mark.parametrize("own_pip", [(), (26, 3)])
def test_a_wheelhouse_needs_nothing_but_a_python_with_venv(
    own_pip: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_wheel: Callable[..., str]
) -> None:
    """Wheels are asked for without uv, and by the pip that ensurepip carries where there is no other."""
    lines = make_wheel("one"), make_wheel("two")
    monkeypatch.setattr(packages, "own_pip", lambda: own_pip)
    monkeypatch.setattr(wheelhouse, "DEVICE", tmp_path)
    for name, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}.items():
        monkeypatch.setenv(name, value)
    here = lines[1].replace(" --hash", " ; platform_machine == 'x86_64' --hash")
    (tmp_path / "core.txt").write_text(lines[0] + here)
    monkeypatch.setattr(wheelhouse, "PROFILES", {"core": lock.Profile(tmp_path, (), ())})
    monkeypatch.setattr(lock, "require", lambda tool: pytest.fail(f"{tool} is asked for"))
    for machine, names in {"aarch64": ["one"], "x86_64": ["one", "two"]}.items():
        made = wheelhouse.wheelhouse(["core"], "3.12", machine, tmp_path / "out")
        with zipfile.ZipFile(made) as archive:
            assert [name.partition("-")[0] for name in archive.namelist()] == names


def test_a_python_without_wheels_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match=r"no such Python \(--python\): 3.10; one of 3.11, 3.12, 3.13, 3.14$"):
        wheelhouse.wheelhouse(["core"], "3.10", "x86_64", tmp_path)


def test_a_missing_tool_is_one_line_with_its_mend() -> None:
    with pytest.raises(EdgeloopError, match="nothing_such is not installed; run `./scripts/edgeloop test"):
        lock.require("nothing_such")


def test_the_locks_hold_what_pyproject_asks_for() -> None:
    for name, profile in lock.PROFILES.items():
        text = (profile.folder / f"{name}.txt").read_text()
        pinned = {line.partition("==")[0] for line in text.splitlines()}
        asked = {re.split(r"[>\[]", line)[0].strip().lower() for line in lock._requirements(*profile.extras)}
        assert asked <= pinned, name
        assert f"# imports: {' '.join(profile.imports)}\n" in text


LOCKS = {path.stem if path.parent == lock.LAPTOP else f"device {path.stem}": path.read_text()
         for folder in (lock.DEVICE, lock.LAPTOP) for path in sorted(folder.glob("*.txt"))}  # fmt: skip
FEWER = {"analytics": "3.11 3.12"}
"""Pythons of what has no wheels for the newer ones."""


@pytest.mark.parametrize("name", LOCKS)
def test_each_lock_has_wheels_for_both_machines_and_every_python(name: str) -> None:
    pythons = FEWER.get(name, " ".join(lock.PYTHONS))
    assert f"\n# wheels: x86_64 aarch64, Python {pythons}, glibc 2." in LOCKS[name]


@pytest.mark.parametrize("name", LOCKS if os.environ.get("EDGELOOP_LONG") else ["device core"])
def test_the_index_has_them(name: str) -> None:
    body = "".join(line for line in LOCKS[name].splitlines(keepends=True) if not line.startswith("#"))
    assert f"\n# wheels: {lock.reach(body)}\n" in LOCKS[name]


def test_the_locks_of_extras_hold_what_pyproject_asks_for_beyond_the_tools() -> None:
    tools = {line.partition("==")[0] for line in (lock.LAPTOP / "tools.txt").read_text().splitlines()}
    for name, extra in lock.EXTRAS.items():
        text = (lock.LAPTOP / f"{name}.txt").read_text()
        pinned = {line.partition("==")[0] for line in text.splitlines()}
        asked = {re.split(r"[>\[]", line)[0].strip().lower() for line in lock._requirements_of(name)}
        assert asked - tools <= pinned, name
        assert f"# imports: {' '.join(extra.imports)}\n" in text
