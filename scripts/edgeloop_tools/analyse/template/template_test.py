"""The analysis on its sample."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgeloop_tools.analyse.run import run

HERE = Path(__file__).parent


def test_sample(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("sample_of_analysis", HERE / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sample)
    sample.make(tmp_path / "up")
    done = run(str(HERE), str(tmp_path / "up"), tmp_path / "out", given=["hours=13"], report=tmp_path / "page.html")
    assert done.assets == 4
    assert done.findings == 2
    assert (tmp_path / "page.html").is_file()
