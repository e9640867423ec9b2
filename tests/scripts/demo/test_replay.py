from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop_tools.demo.replay import look, stage

ROOT = Path("/greengrass/v2")


def skab(path: Path) -> Path:
    lines = ["datetime;Current;Pressure;anomaly;changepoint"]
    for row in range(600):
        on = 300 <= row < 400 or row >= 550
        lines.append(f"2020-03-09 10:{30 + row // 60:02}:{row % 60:02};{row % 7}.5;0.1;{float(on)};0.0")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_labelled_table(tmp_path: Path) -> None:
    table = look(skab(tmp_path / "1.csv"))
    assert (table.rows, table.step) == (600, 1.0)
    assert "time: 'datetime'" in table.understood
    assert table.labels == ("anomaly", "changepoint")
    assert table.labelled == ((300, 400), (550, 600))


def test_a_table_becomes_a_source_that_fits_the_duration(tmp_path: Path) -> None:
    plan = stage([skab(tmp_path / "1.csv")], tmp_path / "staged", 40, 48000, ROOT)
    (name,) = plan.sources
    source = plan.sources[name]
    assert source["speed"] == 20
    assert source["ignore"] == "anomaly changepoint"
    assert Path(source["path"]).stat().st_mode & 0o444 == 0o444
    assert plan.monitors[name]["learn"] == "200 s"
    assert [(f.start, f.by) for f in plan.truth] == [(300, "row"), (550, "row")]


def test_what_backtest_would_do_otherwise_is_told(tmp_path: Path) -> None:
    plan = stage([skab(tmp_path / "1.csv")], tmp_path / "staged", 40, 48000, ROOT)
    (name,) = plan.monitors
    understood, same = plan.told
    assert "time: 'datetime'" in understood
    assert f"edgeloop backtest --input {tmp_path / '1.csv'} --learn-rows 200 --budget '2400 s'" in same
    assert "--ignore anomaly,changepoint --detect conditions" in same
    said = re.findall(r"(\w+) \(", same.partition("but for ")[2])
    options = {key: value for key, value in plan.monitors[name].items() if key in said or key in ("asset", "input")}
    assert set(said) == set(options) - {"asset", "input"} == {"confirm", "recover", "gap", "flat_line", "clock"}


def test_two_files_of_one_name_are_two_sources(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    plan = stage([skab(tmp_path / "a" / "1.csv"), skab(tmp_path / "a" / "1.csv")], tmp_path / "staged", 40, 48000, ROOT)
    assert len(plan.sources) == 2


def test_recordings_become_one_program(tmp_path: Path) -> None:
    for name, rows in (("normal.npy", 48000), ("faulty.npy", 24000)):
        np.save(tmp_path / name, np.zeros((rows, 2), dtype=np.float32))
    plan = stage([tmp_path / "normal.npy", tmp_path / "faulty.npy"], tmp_path / "staged", 40, 48000, ROOT)
    command = plan.sources["spindle"]["command"]
    assert command.startswith(str(ROOT / "work" / "io.edgeloop.Runtime" / "venv" / "bin" / "python"))
    assert command.index("normal.npy") < command.index("faulty.npy")
    assert plan.truth[0].start == 48000


@pytest.mark.parametrize("content", ["", "only a line\n", "a;b\nx;y\n", "\x00\x01;\n"])
def test_what_is_no_table_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(EdgeloopError, match=r"bad\.csv"):
        look(path)


def test_recordings_that_differ_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 2), dtype=np.float32))
    np.save(tmp_path / "b.npy", np.zeros((10, 3), dtype=np.float32))
    with pytest.raises(EdgeloopError, match="do not fit together"):
        stage([tmp_path / "a.npy", tmp_path / "b.npy"], tmp_path / "staged", 40, 48000, ROOT)
