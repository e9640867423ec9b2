from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeloop_tools import build, cli

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeloop_tools", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_done_is_0(tmp_path: Path) -> None:
    done = run("build", "runtime", "--out", str(tmp_path), "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_failure_is_1_with_one_line(tmp_path: Path) -> None:
    done = run("lint", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"edgeloop: no recipes here ({tmp_path}); run `edgeloop build`\n"
    assert "Traceback" in run("--debug", "lint", str(tmp_path)).stderr
    assert "Traceback" in run("lint", str(tmp_path), "--debug").stderr


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["build", "--nothing"]])
def test_wrong_use_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: edgeloop" in done.stderr


def test_what_nobody_expected_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(cli, "parser", broken)
    assert cli.main(["build"]) == 1
    line = capsys.readouterr().err
    assert line == "edgeloop: unexpected RuntimeError: two lines; run with --debug and report it\n"


def test_help_needs_no_package() -> None:
    """In a clean clone nothing is installed for it: every verb is known by the standard library alone."""
    sources = [ROOT / "components", ROOT / "components" / "runtime", ROOT / "scripts"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sources))}
    words = [sys.executable, "-S", "-B", "-m", "edgeloop_tools", "--debug", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd="/", env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deploy" in done.stdout


def test_every_folder_with_commands_is_there() -> None:
    text = run("--help").stdout
    assert {"build", "lint", "test"} <= {line.split()[0] for line in text.splitlines() if line.startswith("    ")}


def test_test_hands_its_arguments_to_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text("def test_good(): pass\ndef test_bad(): assert False\n")
    environ = os.environ | {"PYTEST_ADDOPTS": "-p no:cacheprovider"}

    def tested(word: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "edgeloop_tools", "test", "test_one.py", "-q", "-k", word]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environ)
        return done.returncode, done.stdout.splitlines()[-1].partition(" in ")[0]

    assert tested("test_good") == (0, "1 passed, 1 deselected")
    assert tested("test_bad") == (1, "1 failed, 1 deselected")


def test_build_prints_a_table_of_sizes(tmp_path: Path) -> None:
    done = run("build", "--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {row["component"] for row in document["artifacts"]} >= {"io.edgeloop.Runtime"}
    assert all(0 < row["bytes"] <= row["limit"] for row in document["artifacts"])


def test_stale_recipes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "RECIPES", tmp_path)
    left = tmp_path / "io.edgeloop.Gone-0.0.1.yaml"
    left.write_text("")
    names = {path.name for path in build.stale() if path.parent == tmp_path}
    assert {left.name, "io.edgeloop.Runtime-0.1.0.yaml"} <= names
    build.regenerate()
    assert not left.exists()
    assert build.stale() == []
