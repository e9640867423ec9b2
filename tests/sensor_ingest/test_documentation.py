"""What the READMEs show is true."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from edgeloop.config.load import convert
from edgeloop_tools.build import tables
from edgeloop_tools.build.archive import pyz
from sensor_ingest.configuration import Configuration
from sensor_ingest.declaration import DECLARATION
from sensor_ingest.sources import Registry

FOLDER = Path(__file__).parents[2] / "components" / "sensor_ingest"
TYPES = Registry(pytest.fail).names
ALONE = ("simulator", "replay", "process")
"""Types whose samples need nothing else."""


def kind(name: str) -> Any:
    return Registry(pytest.fail).get(name, "")


def sample(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "sources" / name / "sample.yaml").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", TYPES)
def test_the_table_of_a_type_is_that_of_its_configuration(name: str) -> None:
    text = (FOLDER / "sources" / name / "README.md").read_text()
    table = text.partition(tables.BEGIN)[2].partition(tables.END)[0].strip()
    assert table == tables.rows(kind(name).options).strip(), f"replace the table of sources/{name}/README.md"


@pytest.mark.parametrize("name", TYPES)
def test_a_type_says_what_to_do_when_it_goes_wrong(name: str) -> None:
    text = (FOLDER / "sources" / name / "README.md").read_text().partition("## When it goes wrong")[2]
    assert "| symptom | line |" in text
    assert text.partition("\n<!--")[0].partition("\n## ")[0].count("\n| ") >= 4


@pytest.mark.parametrize("name", TYPES)
def test_a_sample_is_a_configuration(name: str) -> None:
    configuration = convert(sample(name), Configuration)
    for entry in configuration.sources.values():
        convert(entry, kind(entry["type"]).options, name)


def test_the_samples_run_together_from_the_archive(plant: Any, tmp_path: Path) -> None:
    (tmp_path / "valve.csv").write_text(
        "datetime;Temperature;Pressure;anomaly;changepoint\n"
        + "".join(f"2020-03-09 10:{i // 60:02d}:{i % 60:02d};{60 + i};0,5;0.0;0.0\n" for i in range(600))
    )
    np.save(tmp_path / "spindle.npy", np.arange(48_000, dtype=np.float32).reshape(-1, 2))
    (tmp_path / "play.py").write_text(
        "import sys, time, json\nimport numpy as np\nx = np.load(sys.argv[1])\nrate = int(sys.argv[3])\n"
        "head = {'rate': rate, 'dtype': x.dtype.str, 'channels': {'drive': '[g]', 'fan': '[g]'}}\n"
        "sys.stdout.write(json.dumps(head) + chr(10))\nsys.stdout.flush()\n"
        "for k in range(0, len(x), 2400):\n"
        "    sys.stdout.buffer.write(x[k:k+2400].tobytes())\n    sys.stdout.flush()\n    time.sleep(2400 / rate)\n"
    )
    sources = {id: entry for name in ALONE for id, entry in sample(name)["sources"].items()}
    sources["valve"]["path"] = str(tmp_path / "valve.csv")
    sources["spindle"] |= {"folder": str(tmp_path)}
    sources["spindle"]["command"] = sources["spindle"]["command"].replace("/usr/bin/python3", sys.executable)
    archive = tmp_path / "sensor_ingest.pyz"
    archive.write_bytes(pyz(DECLARATION))
    plant.configure(sources=sources)
    plant.start(archive)
    plant.wait(
        lambda: {"press1_vib", "press1_slow", "press1_plc", "valve", "spindle"} <= {i.stream for i in plant.journal()}
    )
    plant.wait(lambda: sum(len(i) for i in plant.journal() if i.stream == "spindle") == 24_000)
    played = np.concatenate([i.samples for i in plant.journal() if i.stream == "spindle"])
    assert (played.ravel() == np.arange(48_000)).all()
    valve = next(i for i in plant.journal() if i.stream == "valve")
    assert [(c.name, c.unit) for c in valve.channels] == [("Temperature", "Cel"), ("Pressure", "bar")]
    plant.wait(lambda: plant.problems() in ("[]", ""))
