from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeloop.health import Health, MetricFiles

TIME = 1_700_000_000_123_456_789


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_the_embedded_metric_format(tmp_path: Path) -> None:
    dimensions = {"Component": "Tested", "Thing": "t1"}
    MetricFiles(tmp_path / "metrics", "Tested", dimensions).write(TIME, {"n": 3}, {"lag": 0.5})
    (line,) = lines(tmp_path / "metrics" / "Tested.emf")
    assert line["_aws"]["Timestamp"] == 1_700_000_000_123
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Edgeloop"
    assert directive["Dimensions"] == [["Component", "Thing"]]
    assert directive["Metrics"] == [{"Name": "n", "Unit": "Count"}, {"Name": "lag", "Unit": "None"}]
    assert (line["Component"], line["Thing"], line["n"], line["lag"]) == ("Tested", "t1", 3, 0.5)


def test_one_object_has_at_most_a_hundred_metrics(tmp_path: Path) -> None:
    MetricFiles(tmp_path, "Tested", {}).write(TIME, {f"n{i}": i for i in range(250)}, {})
    found = lines(tmp_path / "Tested.emf")
    assert [len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) for line in found] == [100, 100, 50]


def test_files_are_rotated_and_bounded(tmp_path: Path) -> None:
    files = MetricFiles(tmp_path, "Tested", {"Component": "Tested"}, size=1000, files=3)
    for number in range(200):
        files.write(TIME, {"n": number}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Tested.emf", "Tested.emf.1", "Tested.emf.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    numbers = [line["n"] for name in ("Tested.emf.2", "Tested.emf.1", "Tested.emf") for line in lines(tmp_path / name)]
    assert numbers == list(range(numbers[0], 200))


def test_a_folder_that_refuses_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    problems: dict[str, str | None] = {}
    files = MetricFiles(tmp_path / "file" / "below", "Tested", {}, on_problem=problems.__setitem__)
    files.write(TIME, {"n": 1}, {})
    assert "metrics are not written" in str(problems["metrics"])


def test_health_writes_counts_as_differences(tmp_path: Path) -> None:
    health = Health("io.edgeloop.Tested", lambda document: None, metrics=MetricFiles(tmp_path, "Tested", {}))
    health.count("n", 5)
    health.close()
    health.count("n", 2)
    health.close()
    assert [line["n"] for line in lines(tmp_path / "Tested.emf")] == [5, 2]
    assert all(line["memory_mb"] > 0 for line in lines(tmp_path / "Tested.emf"))
