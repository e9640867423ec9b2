from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgeloop_tools.backtest.recording import read
from edgeloop_tools.backtest.replay import HEADER, replay
from edgeloop_tools.cli import main

START = datetime(2026, 1, 1, tzinfo=UTC)


def write(path: Path, values: np.ndarray, separator: str = ",", step: int = 60, label: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"c{i}" for i in range(values.shape[1])] + ["label"] * label
    lines = [separator.join(["datetime", *names])]
    for i, row in enumerate(values):
        cells = [f"{START + timedelta(seconds=i * step):%Y-%m-%d %H:%M:%S}", *(f"{v:.4f}" for v in row)]
        lines.append(separator.join([*cells, *(["1"] * label)]))
    path.write_text("\n".join([*lines, ""]))


def healthy(rows: int, seed: int = 1, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(10, 1, (rows, channels))


def columns(path: Path) -> tuple[list[str], np.ndarray]:
    head, *lines = path.read_text().splitlines()
    assert all(line[10] == "T" and line.partition(",")[0].endswith("Z") for line in lines)
    return head.split(","), np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines])


def test_when_and_what_and_a_column_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = healthy(900)
    values[600:700, 1] += 8
    write(tmp_path / "one.csv", values)
    words = ["backtest", "--input", str(tmp_path / "one.csv"), "--output", str(tmp_path / "out"), "--learn-rows", "300"]
    assert main(words) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("one.csv: 2026-01-01T")]
    assert any(" c1: " in line and "T10:" in line for line in lines), lines
    assert main([*words, "--ignore", "lable"]) == 1
    assert "--ignore lable" in capsys.readouterr().err


def test_a_page_shows_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = healthy(900)
    values[600:700, 1] += 8
    write(tmp_path / "one.csv", values)
    write(tmp_path / "two.csv", values[:120])
    words = ["backtest", "--input", str(tmp_path), "--page", str(tmp_path / "p.html"), "--learn-rows", "300"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "one.csv: learned from 3" in said
    assert "two.csv: learned from 120 rows (7,140 s): all there is, nothing was scored" in said
    page = (tmp_path / "p.html").read_text()
    assert page.count("<svg") == 2
    assert "c1" in page
    assert " c1: " in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', page)


def test_a_short_recording_has_no_rate_and_shares_have_an_interval(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "short.csv", healthy(700), step=1)
    words = ["backtest", "--input", str(tmp_path / "short.csv"), "--inject", "level", "--runs", "2", "--json"]
    assert main([*words, "--severity", "12"]) == 0
    engine = json.loads(capsys.readouterr().out)["faults"]["level"]["engine"]
    assert (engine["alarms_per_week"], engine["alarms_per_week_high"]) == (None, None)
    assert engine["found_low"] <= engine["found"] / 2 <= engine["found_high"]
    assert main([*words[:-1], "--budget", "1 alarm/hour"]) == 0
    assert "90 % interval" in capsys.readouterr().out


def test_each_file_has_a_line_for_each_row_at_the_same_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = healthy(1200)
    values[900:1000, 0] += 8
    write(tmp_path / "in" / "a" / "one.csv", values, ";", label=True)
    write(tmp_path / "in" / "two.csv", healthy(700, 2, 1), ",", step=300)
    code = main(
        ["backtest", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--learn-rows", "300",
         "--ignore", "label", "--json"]
    )  # fmt: skip
    assert code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["rows"], said["failed"]) == (2, 1900, [])
    names, one = columns(tmp_path / "out" / "a" / "one.csv")
    assert names == HEADER.split(",")
    assert one.shape == (1200, 6)
    assert np.isfinite(one).all()
    assert set(np.unique(one[:, [1, 3, 4, 5]])) <= {0.0, 1.0}
    assert one[905:1000, 3].all(), "the level is abnormal"
    assert not one[:300, 3].any(), "what is learned is not judged"
    assert one[900:905, 4].any()
    assert columns(tmp_path / "out" / "two.csv")[1].shape == (700, 6)


def test_nothing_of_what_is_to_come_is_seen(tmp_path: Path) -> None:
    values = healthy(1000)
    values[500:520] += 12
    write(tmp_path / "whole.csv", values)
    write(tmp_path / "part.csv", values[:611])
    whole = replay(read(tmp_path / "whole.csv"), learn=200)
    part = replay(read(tmp_path / "part.csv"), learn=200)
    assert part.text().splitlines() == whole.text().splitlines()[:612]


def test_a_bad_file_is_named_and_the_others_are_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    write(folder / "good.csv", healthy(200))
    write(folder / "odd.csv", healthy(200))
    text = (folder / "odd.csv").read_text().splitlines()
    text[100] = text[100].rpartition(",")[0] + ",broken"
    (folder / "odd.csv").write_text("\n".join(text))
    (folder / "empty.csv").write_text("")
    (folder / "words.csv").write_text("name,place\nkim,hall\n")
    (folder / "late.csv").write_text("a,time\n1,2026-01-01 00:00:00\n2.5,2026-01-01 00:00:01\nx,2026-01-01 00:00:02\n")
    assert main(["backtest", "--input", str(folder), "--output", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert all(line.startswith("edgeloop: ") for line in lines)
    assert [name for name in ("empty.csv", "words.csv", "odd.csv") if sum(name in line for line in lines) != 1] == []
    assert "1 cells that are no numbers ('broken') are missing" in shown.err
    assert "could not be used" in shown.out
    assert "empty.csv" in shown.out.splitlines()[-1]
    assert len(columns(tmp_path / "out" / "good.csv")[1]) == 200
    assert len(columns(tmp_path / "out" / "odd.csv")[1]) == 200


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--input", "nowhere", "--output", "o"], 1, "nothing to backtest (nowhere): no such folder"),
        (["--input", "."], 1, "nowhere to write the scores"),
        (["--input", ".", "--output", "o", "--budget", "often"], 1, "not a budget (--budget)"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["backtest", *arguments]) == code
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_rows_of_a_fast_recording_hold_the_word_of_their_block(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (12_000, 1))
    values[9000:, 0] *= 5
    lines = ["t,x", *(f"{i / 1000:.3f},{v:.4f}" for i, v in enumerate(values[:, 0]))]
    (tmp_path / "fast.csv").write_text("\n".join([*lines, ""]))
    found = replay(read(tmp_path / "fast.csv"), learn=5000)
    assert len(found.condition_score) == 12_000
    assert found.condition_alert[-500:].all()
    assert not found.condition_alert[:9000].any()
    assert np.isfinite(found.condition_score).all()


def test_faults_put_in_are_found_beside_the_trivial_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.csv", healthy(1500))
    arguments = [
        "backtest",
        "--input",
        str(tmp_path),
        "--inject",
        "all",
        "--learn-rows",
        "500",
        "--runs",
        "4",
        "--json",
    ]
    assert main(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert set(said["faults"]) == {"spike", "level", "drift", "noise", "flat", "dropout"}
    for kind in ("level", "flat", "dropout"):
        figures = said["faults"][kind]["engine"]
        assert (figures["found"], figures["missed"]) == (4, 0)
        assert figures["delay_s_median"] <= figures["delay_s_p90"] <= 70 * 60
    assert said["faults"]["flat"]["four_sigma"]["found"] == 0
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == said, "a seed is a seed"
    assert main([*arguments[:-1]]) == 0
    assert "alarms/week" in capsys.readouterr().out


def test_a_recording_too_short_for_a_fault_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.csv", healthy(80))
    assert main(["backtest", "--input", str(tmp_path), "--inject", "level", "--learn-rows", "60"]) == 1
    assert "no recording is long enough" in capsys.readouterr().err


def test_conditions_are_judged_by_a_column_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = healthy(1500)
    values[900:1000, 0] += 8
    truth = np.zeros((1500, 1))
    truth[900:1000] = 1
    write(tmp_path / "in" / "one.csv", np.hstack([values, truth]))
    words = ["backtest", "--input", str(tmp_path / "in"), "--learn-rows", "300", "--label"]
    assert main([*words, "c2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["labels"]
    assert said["always"] == {"f1": 0.1538, "far_percent": 100.0, "mar_percent": 0.0, "spans": 1, "found": 1,
                              "delay_rows": 0.0}  # fmt: skip
    assert said["engine"]["found"] == 1
    assert said["engine"]["f1"] > 0.8
    assert main([*words, "c2"]) == 0
    assert "four sigma" in capsys.readouterr().out
    assert main([*words, "nothing"]) == 1
    assert "no column of labels" in capsys.readouterr().err


def test_the_count_is_told_and_a_model_scores_beside_the_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = healthy(1200)
    values[900:1000, 0] += 8
    write(tmp_path / "one.csv", values)
    words = ["backtest", "--input", str(tmp_path), "--output", str(tmp_path / "out"), "--learn-rows", "300", "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["alarms"] >= 1
    assert said["per_week"] > 0
    assert 0.05 < said["share_in_condition"] < 0.15
    assert 80 * 60 < said["longest"] < 130 * 60
    assert main([*words, "--model", str(tmp_path / "none.zip")]) == 1
    assert "no such package" in capsys.readouterr().err
