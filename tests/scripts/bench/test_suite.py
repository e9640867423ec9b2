from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools import cli
from edgeloop_tools.bench.suite import available, load, show

BENCHMARKS = Path(__file__).resolve().parents[3] / "tests" / "benchmarks"


def test_every_file_of_benchmarks_is_known() -> None:
    known = available()
    assert {path.stem for path in BENCHMARKS.glob("*.py")} <= set(known)
    assert {"sizes", "pipeline", "traffic", "line"} <= set(known)
    assert all(benchmark.describes for benchmark in known.values())
    assert known["install"].long
    assert not known["sizes"].long


def test_zip_applications_are_small() -> None:
    figures = available()["sizes"].run()
    assert figures["largest_of_limit"] <= 1
    assert {"sensor_ingest.pyz", "anomaly_inference.pyz", "runtime.pyz"} <= set(figures)


def test_the_pipeline_scores_what_it_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = load(BENCHMARKS / "pipeline.py")
    monkeypatch.setattr(pipeline, "SECONDS", 2)
    monkeypatch.setattr(pipeline, "MACHINES", 1)
    figures = pipeline.run()
    assert figures["values"] == 2 * (25_600 * 3 + 10 * 4 + 10 * 3)
    assert figures["results"] > 0
    assert figures["of_bare"] > 0


def test_an_unknown_name_is_one_line() -> None:
    arguments = cli.parser().parse_args(["bench", "nothing"])
    with pytest.raises(EdgeloopError, match="no such benchmark"):
        arguments.run(arguments)


def test_figures_are_lines() -> None:
    text = show({"values_per_s": 1234567.8, "rows": [{"streams": 1, "rate": 10}], "ms": {"p50": 1.5}})
    assert "1,234,568" in text
    assert "streams 1  rate 10" in text
    assert "p50 1.5" in text
