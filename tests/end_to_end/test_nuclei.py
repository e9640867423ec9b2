"""What the components rely on, of the local core in both modes and of a real nucleus: the same tests, unchanged.

A real one is named by EDGELOOP_NUCLEUS=<root> (run them on the device, as root); without it the run says so.
Each test deploys a probe with the nucleus's own program and reads what the probe wrote in its work folder.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.build.recipe import INTERPRETER, RUN
from edgeloop_tools.core import daemon
from edgeloop_tools.nucleus import Deployment, Nucleus, Outcome, find

pytestmark = [pytest.mark.contract, pytest.mark.timeout(600)]
PROBE = "io.edgeloop.Probe"
REAL = os.environ.get("EDGELOOP_NUCLEUS", "")
STAYS = RUN.replace(INTERPRETER, "/bin/sh").replace("{package}", "probe")
"""The components' own run script, around a probe that is a shell script."""


def until(look: Callable[[], Any], timeout: float = 90) -> Any:
    end = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.1)
    return found


@dataclass
class Device:
    nucleus: Nucleus
    folder: Path

    def deploy(self, run: str, version: str = "1.0.0", probe: str = "", **configuration: str) -> Outcome:
        recipe = {
            "RecipeFormatVersion": "2020-01-25", "ComponentName": PROBE, "ComponentVersion": version,
            "ComponentType": "aws.greengrass.generic", "ComponentPublisher": "contract",
            "ComponentConfiguration": {"DefaultConfiguration": {"site": "plant"}},
            "Manifests": [{
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/probe.pyz"}],
                "Lifecycle": {"run": {"Script": run}},
            }],
        }  # fmt: skip
        recipes, artifacts = self.folder / version / "recipes", self.folder / version / "artifacts"
        files = artifacts / PROBE / version
        recipes.mkdir(parents=True, exist_ok=True)
        files.mkdir(parents=True, exist_ok=True)
        (recipes / f"{PROBE}-{version}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        (files / "probe.pyz").write_text(probe)
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        merge = {PROBE: configuration} if configuration else {}
        work = Deployment({PROBE: version}, merge, (), recipes, artifacts)
        return self.nucleus.deploy(work, 300, print)

    def state(self) -> str:
        return next((c.state for c in self.nucleus.components() if c.name == PROBE), "")

    def version(self) -> str:
        return next((c.version for c in self.nucleus.components() if c.name == PROBE), "")

    def said(self) -> list[str]:
        path = self.nucleus.root / "work" / PROBE / "said"
        return path.read_text().splitlines() if path.exists() else []

    def remove(self) -> None:
        self.nucleus.deploy(Deployment({}, remove=[PROBE]), 300, print)
        (self.nucleus.root / "work" / PROBE / "said").unlink(missing_ok=True)


@pytest.fixture(params=["core classic", "core lite", "real"])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    with tempfile.TemporaryDirectory(prefix="edgeloop-contract-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if request.param == "real":
            if not REAL:
                pytest.skip("no real nucleus: EDGELOOP_NUCLEUS=<root> names one")
            device = Device(find(Path(REAL)), folder / "probe")
            yield device
            device.remove()
            return
        core = daemon.start(folder / "root", request.param.rpartition(" ")[2], settled=0.1)
        try:
            yield Device(find(folder / "root"), folder / "probe")
        finally:
            core.stop()


def probe(device: Device) -> str:
    return f'echo "$$ $PPID" >>{device.nucleus.root}/work/{PROBE}/said; exec sleep 1000'


def test_what_the_world_kills_outlives_the_limit_of_three(device: Device) -> None:
    assert device.deploy(STAYS, probe=probe(device)).succeeded
    for number in range(1, 5):
        until(lambda n=number: len(device.said()) >= n)
        os.kill(int(device.said()[-1].split()[0]), signal.SIGKILL)
    until(lambda: len(device.said()) >= 5)
    assert len({line.split()[1] for line in device.said()}) == 1, "one parent, in one unit"
    assert device.state() == "RUNNING"


def test_a_third_fault_of_ours_breaks_it(device: Device) -> None:
    device.deploy(STAYS, probe="sleep 2; exit 3")
    until(lambda: device.state() == "BROKEN")


def test_a_newer_version_comes_and_everything_goes(device: Device) -> None:
    assert device.deploy(STAYS, probe=probe(device)).succeeded
    until(lambda: len(device.said()) == 1)
    assert device.deploy(STAYS, "1.0.1", probe=probe(device)).succeeded
    until(lambda: device.version() == "1.0.1" and device.state() == "RUNNING")
    until(lambda: len(device.said()) == 2)
    first, second = (int(line.split()[0]) for line in device.said())
    until(lambda: not Path("/proc", str(first)).exists())
    device.nucleus.deploy(Deployment({}, remove=[PROBE]), 300, print)
    until(lambda: not Path("/proc", str(second)).exists())
    assert device.state() == ""
