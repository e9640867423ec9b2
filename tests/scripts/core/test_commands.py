"""The verbs, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeloop_tools.cli import main


@pytest.fixture
def cli(folder: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EDGELOOP_CORE_ROOT", str(folder.root))

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_a_day_with_the_core(cli: Any, folder: Any, nucleus: str, tmp_path: Path) -> None:
    folder.component("t.A", "echo hello; exec sleep 100", configuration={"rate": 5})
    folder.artifacts.mkdir()
    code, _, err = cli("component", "list")
    assert (code, err.count("\n")) == (1, 1)
    assert "no local core answers" in err
    assert "core start" in err
    code, out, _ = cli("core", "start", "--nucleus", nucleus)
    assert (code, f"The {nucleus} core runs" in out) == (0, True)
    from edgeloop_tools.core.client import CoreClient

    folder.roots.append(CoreClient(folder.root))
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"t.A": {"MERGE": {"rate": 6}}}))
    code, out, err = cli(
        "deployment", "create", "--recipeDir", str(folder.recipes), "--artifactDir", str(folder.artifacts),
        "--merge", "t.A=1.0.0", "--update-config", str(config), "--wait", "30",
    )  # fmt: skip
    assert (code, "SUCCEEDED" in out, err) == (0, True, "")
    code, out, _ = cli("component", "list")
    assert code == 0
    assert any(line.split()[:3] == ["t.A", "1.0.0", "RUNNING"] for line in out.splitlines())
    code, out, _ = cli("component", "details", "-n", "t.A")
    assert f'Configuration: {{"rate": {"6.0" if nucleus == "classic" else "6"}}}' in out
    assert "State: RUNNING" in out
    folder.said("t.A", "hello")
    assert cli("component", "restart", "-n", "t.A")[0] == 0
    folder.said("t.A", "hello", times=2)
    assert cli("logs", "t.A", "-n", "1")[1] == "hello\n"
    assert cli("component", "stop", "-n", "t.A")[0] == 0
    code, out, _ = cli("component", "list", "--json")
    assert {entry["name"]: entry["state"] for entry in json.loads(out)}["t.A"] == "FINISHED"
    code, out, _ = cli("deployment", "create", "--remove", "t.A")
    id_ = out.split()[-1]
    assert "Local deployment submitted! Deployment Id:" in out
    folder.roots[0].wait(id_)
    code, out, _ = cli("deployment", "status", "-i", id_)
    assert (code, out) == (0, f"{id_}: SUCCEEDED\n")
    assert len(cli("deployment", "list")[1].splitlines()) == 2
    assert "nucleus: " + nucleus in cli("core", "status")[1]
    assert cli("core", "stop")[0] == 0
    assert cli("core", "status")[0] == 1


@pytest.mark.parametrize(("words", "line"), [
    (["deployment", "create", "-m", "t.A"], "--merge has another shape (t.A); write NAME=VERSION"),
    (["deployment", "create", "-c", "{torn"], "--update-config is no JSON"),
    (["deployment", "create", "-c", "/no/file"], "cannot read --update-config (/no/file): No such file"),
    (["deployment", "create", "-c", '{"a": {"PUT": 1}}'], "--update-config has another shape"),
    (["logs", "t.Nope"], "there is no log"),
    (["core", "stop"], "no local core answers"),
])  # fmt: skip
def test_one_line_for_what_is_wrong(cli: Any, words: list[str], line: str) -> None:
    code, out, err = cli(*words)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert line in err
    assert "Traceback" not in err


def test_wrong_use_is_2(cli: Any) -> None:
    for words in (["core"], ["core", "jump"], ["component", "details"], ["deployment", "status"]):
        with pytest.raises(SystemExit) as wrong:
            cli(*words)
        assert wrong.value.code == 2


def test_a_deployment_that_fails_is_exit_1(cli: Any, folder: Any) -> None:
    folder.component("t.A", "echo the reason; exit 4")
    folder.start()
    words = ["deployment", "create", "--recipeDir", str(folder.recipes), "-m", "t.A=1.0.0", "--wait", "20"]
    code, _, err = cli(*words, "--failure-handling-policy", "ROLLBACK")
    assert code == 1
    assert "t.A: run exited with 4: the reason; rolled back" in err
    code, _, err = cli(*words)
    assert code == 1
    assert err.endswith("t.A: run exited with 4: the reason\n"), "a nucleus leaves it as it is unless told otherwise"
