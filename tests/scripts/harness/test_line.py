from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.harness.line import claim, clear


def test_a_folder_has_one_demo_at_a_time(tmp_path: Path) -> None:
    root = tmp_path / "core"
    with claim(root), pytest.raises(EdgeloopError, match="a demo is running there"):
        claim(root)
    claim(root).close()


def test_only_the_environments_stay(tmp_path: Path) -> None:
    root = tmp_path / "core"
    claim(root).close()
    kept = root / "work" / "io.edgeloop.Runtime" / "venvs"
    for folder in (kept, root / "work" / "io.edgeloop.SensorIngest" / "journal", root / "logs"):
        folder.mkdir(parents=True)
    (root / "work" / "stray").touch()
    clear(root)
    assert kept.is_dir()
    assert sorted(p.name for p in root.iterdir()) == [".edgeloop-demo", "work"]
    assert [p.name for p in (root / "work").iterdir()] == ["io.edgeloop.Runtime"]


def test_somebody_elses_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(EdgeloopError, match="no demo's"):
        claim(tmp_path)
    assert (tmp_path / "precious").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgeloopError, match="cannot use the demo's folder"):
        claim(tmp_path / "file" / "core")
