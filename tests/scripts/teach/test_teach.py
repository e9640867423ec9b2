"""The command, on files of pictures and on a simulated camera."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from edgeloop.models.package import unpack
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.cli import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "good"
    folder.mkdir()
    camera = Camera(Conveyor("gate", 5, 96, 80, defective=0.0))
    for number in range(13):
        cv2.imwrite(str(folder / f"{number:02}.png"), camera.image(100 * number)[:, :, ::-1])
    return folder


def test_a_folder_of_good_pictures_becomes_a_package(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "torn.png").write_bytes((pictures / "00.png").read_bytes()[:800])
    out = tmp_path / "lid.tar"
    words = ["teach", "lid", "--from", str(pictures), "-o", str(out), "--yes", "--by", "Ana", "--region", "0 0 1 0.9"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert "13 of 13 good pictures are usable" in said.out
    assert "torn.png" in said.err
    assert f"lid 1.0.0, {out.stat().st_size:,} B" in said.out
    first = unpack(out, tmp_path / "first")
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "1.1.0"
    assert len(document["pictures"]) == 13
    assert unpack(out, tmp_path / "second").manifest.provenance.parent == first.digest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "{folder}/few"], "3 of 3 are usable, 12 are needed"),
        (["--from", "{folder}/none"], "the folder has no pictures"),
        (["--from", "{folder}/nowhere"], "there is no such folder of pictures"),
        (["--from", "quux:/x"], "no source takes this URI"),
        (["--from", "{folder}", "--region", "2 2 1 1"], "no region of a picture"),
        (["--from", "{folder}", "--version", "new"], "no version (--version): 'new'"),
        (["--from", "{folder}", "--activate", "--root", "{folder}/none"], "no local core answers"),
    ],
)
def test_what_is_wrong_is_one_line(
    pictures: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("few", "none"):
        (pictures / name).mkdir()
    for number in range(3):
        (pictures / "few" / f"{number}.png").write_bytes((pictures / f"{number:02}.png").read_bytes())
    given = [word.format(folder=pictures) for word in words]
    assert main(["teach", "lid", "-o", str(pictures / "lid.tar"), "--yes", "--size", "96x80", *given]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert said in lines[-1]


def test_a_camera_is_asked_for_its_next_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "plate.tar"
    uri = "simulator:?seed=7&rate=100&width=96&height=80&defective=0"
    assert main(["teach", "plate", "--from", uri, "--good", "12", "-o", str(out), "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["pictures"] == 12
