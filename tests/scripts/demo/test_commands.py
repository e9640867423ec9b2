from __future__ import annotations

from pathlib import Path

import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools import cli
from edgeloop_tools.demo.plan import ANOMALY, INGEST, machines


def call(*words: str) -> int:
    arguments = cli.parser().parse_args(["demo", *words])
    return int(arguments.run(arguments))


@pytest.mark.parametrize(
    "words", [["--duration", "0"], ["--duration", "x"], ["--machines", "99"], ["--nucleus", "other"]]
)
def test_wrong_use_is_told_apart(words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.parser().parse_args(["demo", *words])
    assert exit_.value.code == 2


def test_nothing_to_run() -> None:
    with pytest.raises(EdgeloopError, match="nothing to run"):
        call("--machines", "0")


def test_a_report_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(EdgeloopError, match="the report is JSON"):
        call("--report", str(tmp_path / "r.html"), "--root", str(tmp_path / "core"))


def test_the_plan_is_valid_configuration() -> None:
    from anomaly_inference.configuration import Configuration as Anomaly
    from anomaly_inference.configuration import orphans
    from edgeloop.config.load import convert
    from sensor_ingest.configuration import Configuration as Ingest

    merge = machines(["press1", "press2"], 7, arm=True).merge()
    assert orphans(convert(merge[ANOMALY], Anomaly)) == []
    assert set(convert(merge[INGEST], Ingest).sources) == {"press1", "press2"}
