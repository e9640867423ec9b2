from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.build import lock, wheelhouse


def test_unknown_profiles_are_one_line(tmp_path: Path) -> None:
    known = "core, vision, upload, protocols, neo, video, console"
    with pytest.raises(EdgeloopError, match=f"no such profile: audio; one of {known}$"):
        wheelhouse.wheelhouse(["audio"], "3.11", "x86_64", tmp_path)
    with pytest.raises(EdgeloopError, match="no such profile: audio; one of core, .*tables$"):
        lock.lock(["audio"])


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


def test_the_locks_of_extras_hold_what_pyproject_asks_for_beyond_the_tools() -> None:
    tools = {line.partition("==")[0] for line in (lock.LAPTOP / "tools.txt").read_text().splitlines()}
    for name, extra in lock.EXTRAS.items():
        text = (lock.LAPTOP / f"{name}.txt").read_text()
        pinned = {line.partition("==")[0] for line in text.splitlines()}
        asked = {re.split(r"[>\[]", line)[0].strip().lower() for line in lock._requirements_of(name)}
        assert asked - tools <= pinned, name
        assert f"# imports: {' '.join(extra.imports)}\n" in text
