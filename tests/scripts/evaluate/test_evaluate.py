from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgeloop_tools.cli import main
from edgeloop_tools.evaluate.generators import GENERATORS, recording
from edgeloop_tools.evaluate.manifest import read
from edgeloop_tools.evaluate.metrics import affiliation, interval, range_pr, vus_pr

CORPORA = Path(__file__).with_name("corpora.yaml")


def write(path: Path, values: np.ndarray, label: np.ndarray) -> None:
    lines = ["time,a,b,label"]
    for i, row in enumerate(values):
        when = f"2026-01-{1 + i // 1440:02}T{i // 60 % 24:02}:{i % 60:02}:00Z"
        lines.append(f"{when},{row[0]:.4f},{row[1]:.4f},{label[i]}")
    path.write_text("\n".join([*lines, ""]))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for seed in range(3):
        values = np.random.default_rng(seed).normal(10, 1, (1500, 2))
        label = np.zeros(1500, dtype=int)
        if seed:
            values[1000:1200, 0] += 9
            label[1000:1200] = 1
        write(tmp_path / f"f{seed}.csv", values, label)
    (tmp_path / "broken.csv").write_text("not,a\nrecording,\n")
    goals = '{budgets: "<= 30", share_found: ">= 1", f1: ">= 0.9"}'
    text = f'sets:\n  own: {{files: "f*.csv", learn: 400, label: label, goals: {goals}}}\n'
    (tmp_path / "own.yaml").write_text(text)
    return tmp_path


def test_a_corpus_with_goals(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, document = corpus / "page.html", corpus / "figures.json"
    words = ["evaluate", str(corpus / "own.yaml"), "--json", str(document), "--report", str(page)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[-1] == "goals: 3 of 3 reached"
    said = json.loads(document.read_text())["own"]["figures"]
    assert list(said) == ["edgeloop", "4 sigma", "new record", "always"]
    assert said["edgeloop"]["found"] == 2
    assert said["always"]["far_percent"] == 100
    assert said["edgeloop"]["vus_pr"] > 0.8
    assert "<table>" in page.read_text()


def test_signals_that_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the values are missing at random, and the channel is found 6 deviations too high."""
    made = '{generate: half-missing, seeds: 2, rows: 4000, learn: 2000, goals: {share_found: ">= 1"}}'
    (tmp_path / "made.yaml").write_text(f"sets:\n  missing: {made}\n")
    assert main(["evaluate", str(tmp_path / "made.yaml")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "goals: 1 of 1 reached"


def test_every_generator_makes_what_it_says() -> None:
    for name, generator in GENERATORS.items():
        made, again = (recording(name, 3, 3000, 1500) for _ in range(2))
        assert made.values.shape == (3000, len(made.channels)), name
        assert np.array_equal(made.values, again.values, equal_nan=True), name
        assert made.step == pytest.approx(generator.step), name
        assert np.isfinite(made.values).any(axis=0).all(), name


def test_the_manifest_of_signals_names_those_there_are() -> None:
    manifest, _ = read(CORPORA.with_name("generators.yaml"))
    assert {each.generate for each in manifest.sets.values()} == set(GENERATORS)


def test_a_missed_goal_and_a_bad_file_are_told(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = corpus / "own.yaml"
    manifest.write_text(manifest.read_text().replace('"f*.csv"', '"*.csv"').replace(">= 0.9", ">= 1"))
    assert main(["evaluate", str(manifest)]) == 1
    shown = capsys.readouterr()
    assert "broken.csv" in shown.err
    assert "goal f1 >= 1: 0.9" in shown.out
    assert shown.out.splitlines()[-1] == "goals: 2 of 3 reached"


@pytest.mark.parametrize(
    ("text", "words"),
    [("sets: 3", "not a manifest"), ('sets: {a: {files: "*", goals: {f1: "high"}}}', "no goal"),
     ("sets: {a: {generate: dreams}}", "no such generator"), ("sets: {a: {learn: 3}}", "files or generate"),
     ('data: "${NO_SUCH_VARIABLE}"\nsets: {}', "NO_SUCH_VARIABLE is not set")],
)  # fmt: skip
def test_a_bad_manifest_is_one_line(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.yaml").write_text(text)
    assert main(["evaluate", str(tmp_path / "m.yaml")]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_figures_of_worked_examples() -> None:
    truth = np.zeros(200, dtype=bool)
    truth[100:120] = True
    perfect, late = truth.astype(float), np.roll(truth, 10).astype(float)
    assert range_pr(truth, perfect, 0) == pytest.approx(1.0)
    noise = np.random.default_rng(1).random(200)
    assert vus_pr(truth, perfect) > vus_pr(truth, late) > vus_pr(truth, noise)
    near, far = np.zeros(200, dtype=bool), np.zeros(200, dtype=bool)
    near[125], far[10] = True, True
    assert affiliation(truth, truth) == (1.0, 1.0)
    assert affiliation(truth, near)[0] > 0.8 > 0.3 > affiliation(truth, far)[0]
    assert interval(0, 10)[0] == 0
    assert interval(10, 10)[1] == pytest.approx(1.0)


@pytest.mark.skipif("EDGELOOP_DATA" not in os.environ, reason="EDGELOOP_DATA names no folder of corpora")
def test_the_process_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    """Faults of the process are found, its healthy run is quiet."""
    main(["evaluate", str(CORPORA), "--only", "tep"])
    shown = capsys.readouterr().out
    assert "goal share_found >= 1: 1, reached" in shown
    assert "goal budgets" in shown


def test_spans_of_a_file_beside_the_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(10, 1, (4000, 2))
    values[3000, 0] = 40
    (tmp_path / "a").mkdir()
    write(tmp_path / "a" / "f.csv", values, np.zeros(4000, dtype=int))
    spans = {"f.csv": [["2026-01-03 01:50:00", "2026-01-03 02:30:00"]], "ff.csv": [["2026-01-01", "2026-01-02"]]}
    (tmp_path / "windows.json").write_text(json.dumps(spans))
    goals = '{nab: ">= 50", found: ">= 1"}'
    made = f"{{files: a/*.csv, learn: auto, ignore: [label], windows: windows.json, goals: {goals}}}"
    (tmp_path / "own.yaml").write_text(f"sets:\n  own: {made}\n")
    document = tmp_path / "figures.json"
    code = main(["evaluate", str(tmp_path / "own.yaml"), "--json", str(document)])
    assert code == 0, capsys.readouterr()
    said = json.loads(document.read_text())["own"]["figures"]
    assert said["edgeloop"]["of"] == 1
    assert said["always"]["nab"] < 0
    low, high = said["edgeloop"]["budgets_interval"]
    assert low <= said["edgeloop"]["budgets"] <= high
