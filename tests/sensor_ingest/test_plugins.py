"""A source that lives outside the tree, in a real SensorIngest."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeloop import plugins
from edgeloop.errors import ConfigurationError, EdgeloopError
from edgeloop_tools.config.line import load
from edgeloop_tools.plugin.cases import check
from edgeloop_tools.plugin.scaffold import make
from sensor_ingest.sources import Registry

OWNER = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of plug-ins, with a source `thermal` in it, where its owner alone may write."""
    made = Path(tempfile.mkdtemp(prefix="plugins-"))
    make("source", "thermal", made)
    yield made
    shutil.rmtree(made)


def thermal(path: Path, **more: Any) -> dict[str, Any]:
    options = {"path": str(path), "every": "20 ms", "channel": "cpu", "unit": "Cel", "scale": 0.001}
    return {"type": "thermal", **options, **more}


@pytest.mark.skipif(not OWNER, reason="only root has files that the user of a process may not write")
def test_samples_come_from_outside_the_tree(plant: Any, folder: Path, tmp_path: Path) -> None:
    number = tmp_path / "temp"
    number.write_text("41250\n")
    plant.configure(plugins=str(folder), sources={"hot": thermal(number)})
    plant.start()
    plant.wait(lambda: any(item.stream == "hot" for item in plant.journal()))
    (item, *_) = [item for item in plant.journal() if item.stream == "hot"]
    assert ([(c.name, c.unit) for c in item.channels], item.samples[0, 0]) == ([("cpu", "Cel")], 41.25)
    number.write_text("broken")
    plant.wait(lambda: "the file holds no number" in plant.problems())
    folder.chmod(0o777)
    plant.configure(plugins=str(folder) + "/", sources={"hot": thermal(number), "again": thermal(number)})
    plant.wait(lambda: "unknown source type" in plant.problems() and str(folder) in plant.problems())


def test_a_folder_that_others_may_write_is_refused(folder: Path, tmp_path: Path) -> None:
    if OWNER:
        plugins.guard(folder)
    (folder / "sources" / "thermal" / "__init__.py").chmod(0o666)
    with pytest.raises(ConfigurationError, match=r"may write .*/__init__\.py; let them be files that belong to root"):
        plugins.guard(folder)
    (folder / "sources" / "thermal" / "__init__.py").chmod(0o644)
    (folder / "sources" / "other").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="other is a link"):
        plugins.guard(folder)
    with pytest.raises(ConfigurationError, match="there is no folder"):
        plugins.guard(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match="no absolute path"):
        plugins.guard("plugins")


def test_what_cannot_be_used_costs_only_itself(folder: Path) -> None:
    make("source", "modbus", folder)
    make("source", "broken", folder)
    (folder / "sources" / "broken" / "__init__.py").write_text("SOURCE = 7")
    said: list[str] = []
    registry = Registry(said.append, outside=str(folder))
    assert "thermal" in registry.names
    assert registry.get("modbus", "x").__module__ == "sensor_ingest.sources.modbus"
    assert any("the type modbus is there already" in line for line in said)
    assert any("broken cannot be used: TypeError" in line for line in said)


def test_its_cases_pass_and_say_what_does_not(folder: Path, tmp_path: Path) -> None:
    source = folder / "sources" / "thermal"
    assert check(source, tmp_path) == 3
    (source / "cases" / "temperature.txt").write_text("41000")
    with pytest.raises(AssertionError, match=r"reads\.yaml: case row 0 is \[41\.0\], not \[41\.25\]"):
        check(source, tmp_path)
    with pytest.raises(EdgeloopError, match="there is a plug-in of this name"):
        make("source", "thermal", folder)
    with pytest.raises(EdgeloopError, match="no name of a plug-in"):
        make("source", "Ther-mal", folder)


def line(tmp_path: Path, folder: Path, **more: Any) -> Any:
    path = tmp_path / "line.yaml"
    path.write_text(
        f"site: home\nline: desk\nplugins: {folder}\n"
        f"sources:\n  hot: {{type: thermal, path: /sys/t, every: {more.get('every', '1 s')}, unit: Cel}}\n"
    )
    return load(path)


def test_a_line_is_checked_with_its_plug_ins(folder: Path, tmp_path: Path) -> None:
    checked = line(tmp_path, folder)
    assert checked.problems == []
    ingest = checked.components()["io.edgeloop.SensorIngest"]
    assert ingest["plugins"] == str(folder)
    assert ingest["sources"]["hot"]["type"] == "thermal"
    (problem,) = line(tmp_path, folder, every="1 ms").problems
    assert (problem.where, problem.note) == ("sources.hot.every", False)


def test_a_line_whose_plug_ins_are_on_the_device_alone(tmp_path: Path) -> None:
    checked = line(tmp_path, Path("/opt/not/on/this/machine"))
    (problem,) = checked.problems
    assert problem.note
    assert "a plug-in is not checked" in str(problem)
    assert checked.components()["io.edgeloop.SensorIngest"]["sources"]["hot"]["every"] == "1 s"
