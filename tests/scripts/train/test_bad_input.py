"""Each thing that can be wrong with the data is one line that names the file and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeloop.clock import NS, rfc3339

from .conftest import BEGAN, Rows, Train, csv

Refused = Callable[..., str]


def test_a_file_without_rows(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "press1.csv"
    path.write_text("time,a\n")
    line = refused("--input", path)
    assert "press1.csv" in line
    assert "no row" in line


def test_a_folder_without_files(refused: Refused, tmp_path: Path) -> None:
    assert "no CSV or Parquet file is below it; name another folder" in refused("--input", tmp_path)
    assert "no such file or folder" in refused("--input", tmp_path / "nowhere")


def test_nothing_to_train_on_is_said(refused: Refused) -> None:
    assert "give --input" in refused()


def test_a_constant_channel(short: Rows, refused: Refused, tmp_path: Path) -> None:
    short = short.copy()
    short[:, 2] = 4
    line = refused("--input", csv(tmp_path / "press1.csv", short))
    assert "press1.csv pressure" in line
    assert "always 4; leave it out: --channels temperature,current,speed" in line


def test_a_channel_without_numbers(short: Rows, refused: Refused, tmp_path: Path) -> None:
    short = short.copy()
    short[60:, 1] = np.nan
    short[:60, 1] = np.inf
    line = refused("--input", csv(tmp_path / "press1.csv", short))
    assert "a channel has no numbers" in line
    assert "press1.csv current" in line


def test_missing_values_cost_their_windows_only(short: Rows, train: Train, tmp_path: Path) -> None:
    short = short.copy()
    short[1000:1010, 1] = np.nan
    short[2000, 0] = np.inf
    said = train("--input", csv(tmp_path / "press1.csv", short), "--model-dir", tmp_path)
    assert said["metrics"]["healthy_windows"] > 50


def test_mostly_missing_values_are_named(short: Rows, refused: Refused, tmp_path: Path) -> None:
    short = short.copy()
    short[::40, 3] = np.nan
    line = refused("--input", csv(tmp_path / "press1.csv", short))
    assert "too little to train on" in line
    assert "have missing values, most of speed in" in line


def test_times_that_go_back(short: Rows, refused: Refused, tmp_path: Path) -> None:
    path = csv(tmp_path / "press1.csv", short)
    lines = path.read_text().splitlines()
    lines[300], lines[301] = lines[301], lines[300]
    path.write_text("\n".join(lines) + "\n")
    line = refused("--input", path)
    assert "press1.csv line 302" in line
    assert "sort the file by time" in line


def test_a_rate_that_changes(short: Rows, refused: Refused, train: Train, tmp_path: Path) -> None:
    path = csv(tmp_path / "press1.csv", short[:4000])
    start = BEGAN + 400 * NS
    with path.open("a") as file:
        for i, row in enumerate(short[4000:].tolist()):
            file.write(f"{rfc3339(start + i * NS // 2)},{','.join(f'{v:.6g}' for v in row)}\n")
    line = refused("--input", path)
    assert "the rate changes" in line
    assert "press1.csv" in line
    assert "from 10 to 2 Hz" in line
    end = line.partition("--end ")[2].split()[0]
    assert train("--input", path, "--end", end, "--model-dir", tmp_path)["metrics"]["healthy_windows"] > 20


def test_files_of_two_rates(short: Rows, refused: Refused, tmp_path: Path) -> None:
    csv(tmp_path / "a.csv", short[:3000])
    csv(tmp_path / "b.csv", short[3000:], first=3000, step=NS // 5)
    line = refused("--input", tmp_path)
    assert "rates differ" in line
    assert "b.csv" in line


def test_channels_that_differ_between_files(short: Rows, refused: Refused, train: Train, tmp_path: Path) -> None:
    csv(tmp_path / "data" / "a.csv", short[:3000])
    other = ("temperature", "amps", "pressure", "speed")
    csv(tmp_path / "data" / "b.csv", short[3000:], other, first=3000)
    line = refused("--input", tmp_path / "data")
    assert "channels differ" in line
    assert "b.csv" in line
    assert "no channel current" in line
    words = ("--input", tmp_path / "data", "--channels", "temperature,pressure", "--model-dir", tmp_path)
    assert train(*words)["metrics"]["healthy_windows"] > 20


def test_channels_in_another_order_are_the_same(short: Rows, train: Train, tmp_path: Path) -> None:
    csv(tmp_path / "data" / "a.csv", short[:3000])
    csv(tmp_path / "data" / "b.csv", short[3000:, ::-1], ("speed", "pressure", "current", "temperature"), first=3000)
    said = train("--input", tmp_path / "data", "--model-dir", tmp_path)
    whole = train("--input", csv(tmp_path / "c.csv", short), "--model-dir", tmp_path / "whole")
    assert said["metrics"]["false_alarms"] <= whole["metrics"]["false_alarms"] + 1


def test_too_short_for_the_window(short: Rows, refused: Refused, tmp_path: Path) -> None:
    path = csv(tmp_path / "press1.csv", short)
    line = refused("--input", path, "--window", "120s")
    assert "too little to train on" in line
    assert "windows" in line
    assert "shorter --window" in line
    assert "8 to" in refused("--input", path, "--window", "0.1")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--window", "soon"), "--window"),
        (("--budget", "lots"), "--budget"),
        (("--version", "one"), "--version"),
        (("--name", "Press 1"), "--name"),
        (("--start", "yesterday"), "not a time"),
        (("--labels", "nowhere.csv"), "nowhere.csv"),
        (("--channels", "torque"), "no channel torque"),
        (("--start", "2031-01-01"), "no row is between"),
    ],
)
def test_a_wrong_argument(short: Rows, refused: Refused, tmp_path: Path, words: tuple[str, ...], part: str) -> None:
    assert part in refused("--input", csv(tmp_path / "press1.csv", short[:500]), *words)
