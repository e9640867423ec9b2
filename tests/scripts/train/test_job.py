"""As SageMaker runs it: a process of its own, hyperparameters as arguments, folders by environment."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from edgeloop.models.package import unpack
from edgeloop_tools.cli import main
from edgeloop_tools.train.job import Job

from .conftest import Rows, csv, parquet


def job(folder: Path, code: Path, *words: str, **channels: Path) -> subprocess.CompletedProcess[str]:
    """train.py of an unpacked bundle, with nothing of the checkout in its path."""
    environment = {
        "PATH": os.environ["PATH"], "SM_MODEL_DIR": str(folder / "model"), "SM_OUTPUT_DIR": str(folder / "output"),
        "SM_OUTPUT_DATA_DIR": str(folder / "output" / "data"), "SM_NUM_CPUS": "2", "SM_HPS": "{}",
        "PYTHONNOUSERSITE": "1", "PYTHONPATH": str(code),
    } | {f"SM_CHANNEL_{name.upper()}": str(path) for name, path in channels.items()}  # fmt: skip
    return subprocess.run(
        [sys.executable, "train.py", *words], cwd=code, env=environment, capture_output=True, text=True, timeout=110,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked sourcedir.tar.gz."""
    folder = tmp_path_factory.mktemp("code")
    for name in ("one", "two"):
        assert main(["train", "bundle", "-o", str(folder / f"{name}.tar.gz")]) == 0
    assert (folder / "one.tar.gz").read_bytes() == (folder / "two.tar.gz").read_bytes()
    with tarfile.open(folder / "one.tar.gz") as tar:
        tar.extractall(folder / "code", filter="data")
    return folder / "code"


def test_a_job_trains_and_prints_metrics(short: Rows, code: Path, tmp_path: Path) -> None:
    training = csv(tmp_path / "train" / "press1.csv", short).parent
    words = (
        "--window",
        "6.4",
        "--version=3.0.0",
        "--name",
        "press1",
        "--output_data_dir",
        str(tmp_path / "output" / "data"),
    )
    done = job(tmp_path, code, *words, training=training)
    assert done.returncode == 0, done.stderr
    metrics = dict(re.findall(r"^([a-z_]+)=([0-9.e+-]+);$", done.stdout, re.MULTILINE))
    assert float(metrics["healthy_hours"]) > 0
    package = unpack(tmp_path / "model" / "press1-3.0.0.tar", tmp_path / "store")
    assert package.manifest.metrics["healthy_hours"] == float(metrics["healthy_hours"])
    document = json.loads((tmp_path / "output" / "data" / "metrics.json").read_text())
    assert document["digest"] == package.digest
    assert not (tmp_path / "output" / "failure").exists()
    assert "edgeloop_tools/train/run.py" in {str(p.relative_to(code)) for p in code.rglob("*.py")}


def test_a_job_that_fails_says_why(short: Rows, code: Path, tmp_path: Path) -> None:
    training = csv(tmp_path / "train" / "press1.csv", short[:100]).parent
    done = job(tmp_path, code, train=training)
    assert done.returncode == 1
    reason = (tmp_path / "output" / "failure").read_text()
    assert reason.startswith("too little to train on")
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    done = job(tmp_path, code, "--nonsense", "1", train=training)
    assert done.returncode == 2
    assert "nonsense" in (tmp_path / "output" / "failure").read_text()


def test_a_channel_may_be_what_was_uploaded(short: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet(tmp_path / "up", short, stream="press1_slow")
    parquet(tmp_path / "up", short[:100], stream="press2_slow")
    for source in (tmp_path / "up", tmp_path / "up" / "raw"):
        words = ["--input", str(source), "--model-dir", str(tmp_path), "--json"]
        assert main(["train", "timeseries", *words]) == 1
        assert "give --stream: press1_slow, press2_slow" in capsys.readouterr().err
        assert main(["train", "timeseries", *words, "--stream", "press1_slow"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == "press1_slow"


def test_a_container_of_ones_own_has_no_toolkit(tmp_path: Path) -> None:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    (tmp_path / "input" / "data" / "training").mkdir(parents=True)
    (config / "hyperparameters.json").write_text('{"window": "\\"30 s\\"", "seed": "3"}')
    there = Job({}, tmp_path)
    assert there.arguments() == ["--window", "30 s", "--seed", "3"]
    assert there.channel("training", "train") == str(tmp_path / "input" / "data" / "training")
    assert there.model == str(tmp_path / "model")
    there.failed("nothing came")
    assert not (tmp_path / "output" / "failure").exists()
    (tmp_path / "output").mkdir()
    there.failed("nothing came")
    assert (tmp_path / "output" / "failure").read_text() == "nothing came"


def test_on_a_laptop_there_is_no_job(tmp_path: Path) -> None:
    nowhere = Job({}, tmp_path / "nowhere")
    assert (nowhere.channel("training"), nowhere.model, nowhere.data, nowhere.cpus) == ("", "", "", 1)
    nowhere.failed("said to nobody")
    assert list(tmp_path.iterdir()) == []
