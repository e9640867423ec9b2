"""Devices for the contract: the local core in both modes, and a real nucleus where one is named.

EDGELOOP_NUCLEUS=<root> names a real one on this device (as root). EDGELOOP_NUCLEUS_EXEC=<prefix> runs a command beside
it (`ssh device sudo`, `sd-exec`): the same tests then run there, each as a whole, in a checkout at the same place.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.build.recipe import INTERPRETER, RUN
from edgeloop_tools.core import daemon
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.nucleus import Component, Deployment, Nucleus, Outcome, find

CHECKOUT = Path(__file__).resolve().parents[3]
ROOT, EXEC = "EDGELOOP_NUCLEUS", "EDGELOOP_NUCLEUS_EXEC"
REAL = os.environ.get(ROOT, "")
BESIDE = shlex.split(os.environ.get(EXEC, ""))
MODES = ("core classic", "core lite", "real")
RUNTIME = CHECKOUT / "components" / "runtime"


def until(look: Callable[[], Any], timeout: float = 90, what: str = "") -> Any:
    end = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < end, f"nothing happened in time {what}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Part:
    """A component of a deployment. run: its script, by default the components' own around the probe, which does what
    `wish` says. needs: component → HARD or SOFT. configuration: merged."""

    version: str = "1.0.0"
    run: str = ""
    wish: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    install: str = ""


@dataclass
class Device:
    """kind: classic or lite, of the core too."""

    nucleus: Nucleus
    kind: str
    real: bool
    folder: Path
    names: set[str] = field(default_factory=set)

    until = staticmethod(until)

    def script(self) -> str:
        return RUN.replace(INTERPRETER, "/usr/bin/python3" if self.real else f"{self.nucleus.root}/bin/python3")

    def deploy(self, failure: str = "ROLLBACK", **wanted: Mapping[str, Any]) -> Outcome:
        """What a `Part` says, by the last part of the component's name."""
        parts = {short: Part(**part) for short, part in wanted.items()}
        folder = Path(tempfile.mkdtemp(prefix="deploy-", dir=self.folder))
        roots, merge = {}, {}
        for short, part in parts.items():
            name = f"io.edgeloop.contract.{short}"
            self.names.add(name)
            roots[name] = part.version
            self._write(folder, name, part)
            if part.configuration:
                merge[name] = part.configuration
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        work = Deployment(roots, merge, (), folder / "recipes", folder / "artifacts", failure)  # type: ignore[arg-type]
        return self.nucleus.deploy(work, 300, print)

    def _write(self, folder: Path, name: str, part: Part) -> None:
        policies = {
            "aws.greengrass.ipc.pubsub": {f"{name}:1": {
                "operations": ["aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"],
                "resources": ["contract/own"],
            }},
            "aws.greengrass.ipc.mqttproxy": {f"{name}:2": {
                "operations": ["aws.greengrass#SubscribeToIoTCore"], "resources": ["contract/cloud"],
            }},
        }  # fmt: skip
        lifecycle: dict[str, Any] = {"run": {"Script": (part.run or self.script()).replace("{package}", "probe")}}
        if part.install:
            lifecycle["install"] = {"Script": part.install, "Timeout": 60}
        recipe: dict[str, Any] = {
            "RecipeFormatVersion": "2020-01-25", "ComponentName": name, "ComponentVersion": part.version,
            "ComponentType": "aws.greengrass.generic", "ComponentPublisher": "contract",
            "ComponentConfiguration": {"DefaultConfiguration": {"site": "plant", "accessControl": policies}},
            "Manifests": [{
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": "s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/probe.pyz"}],
                "Lifecycle": lifecycle,
            }],
        }  # fmt: skip
        if part.needs:
            recipe["ComponentDependencies"] = {
                f"io.edgeloop.contract.{other}": {"VersionRequirement": ">=1.0.0", "DependencyType": kind}
                for other, kind in part.needs.items()
            }
        (folder / "recipes").mkdir(exist_ok=True)
        (folder / "recipes" / f"{name}-{part.version}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        files = folder / "artifacts" / name / part.version
        files.mkdir(parents=True)
        with zipfile.ZipFile(files / "probe.pyz", "w") as archive:
            archive.write(Path(__file__).with_name("contract_probe.py"), "__main__.py")
            archive.write(RUNTIME / "ipc.py", "ipc.py")
            for module in ("__init__", "errors"):
                archive.write(RUNTIME / "edgeloop" / f"{module}.py", f"edgeloop/{module}.py")
            archive.writestr("wish.json", json.dumps(dict(part.wish)))

    def work(self, short: str) -> Path:
        return self.nucleus.root / "work" / f"io.edgeloop.contract.{short}"

    def component(self, short: str) -> Component:
        name = f"io.edgeloop.contract.{short}"
        return next((c for c in self.nucleus.components() if c.name == name), Component(name, "", ""))

    def said(self, short: str, what: str = "") -> list[dict[str, Any]]:
        path = self.work(short) / "said"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if not what or line["what"] == what]

    def alive(self, short: str) -> int:
        """The process of the newest probe; 0 where it has ended."""
        starts = self.said(short, "start")
        pid = int(starts[-1]["pid"]) if starts else 0
        return pid if pid and Path("/proc", str(pid)).exists() else 0

    def restart(self, short: str) -> None:
        """As an operator would, by the nucleus's own program."""
        name = f"io.edgeloop.contract.{short}"
        if self.real:
            program = str(self.nucleus.root / "bin" / "greengrass-cli")
            subprocess.run([program, "component", "restart", "--names", name], check=True, timeout=60)
            return
        core = CoreClient(self.nucleus.root)
        core.restart(name)
        core.close()

    def offline(self, offline: bool) -> None:
        """Of the core; a real one is as it is."""
        if not self.real:
            core = CoreClient(self.nucleus.root)
            core.fault("network", offline=offline)
            core.close()

    def kill_nucleus(self) -> None:
        """A classic one: its process, which is started again."""
        if self.real:
            option = f"-Droot={self.nucleus.root}"
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and option in _words(entry):
                    os.kill(int(entry.name), signal.SIGKILL)
            return
        core = CoreClient(self.nucleus.root)
        pid = int(core.status()["pid"])
        with pytest.raises(ControlError):
            core.fault("die")
        core.close()
        until(lambda: not Path("/proc", str(pid)).exists() or "Z" in _state(pid))
        daemon.start(self.nucleus.root, "classic", settled=0.1).close()

    def clean(self) -> None:
        there = [name for name in self.nucleus.roots() if name in self.names]
        if there:
            self.nucleus.deploy(Deployment({}, remove=there), 300, print)
        for name in self.names:
            shutil.rmtree(self.nucleus.root / "work" / name, ignore_errors=True)


def _words(entry: Path) -> list[str]:
    try:
        return (entry / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.fixture(scope="module")
def cores() -> Iterator[Callable[[str], Path]]:
    """A core in each mode, started when it is first asked for."""
    started: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="edgeloop-nuclei-") as name:
        Path(name).chmod(0o755)

        def of(mode: str) -> Path:
            if mode not in started:
                root = Path(name) / mode
                daemon.start(root, mode, settled=0.1).close()  # type: ignore[arg-type]
                started[mode] = root
            return started[mode]

        yield of
        for root in started.values():
            core = CoreClient(root)
            core.stop()


@pytest.fixture(params=MODES)
def device(request: pytest.FixtureRequest, cores: Callable[[str], Path]) -> Iterator[Device | None]:
    mode = request.param
    if mode == "real" and not REAL:
        pytest.skip(f"no real nucleus: {ROOT}=<root> names one, {EXEC}=<prefix> runs beside it")
    if mode == "real" and BESIDE:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="edgeloop-contract-") as name:
        Path(name).chmod(0o755)
        real = mode == "real"
        nucleus = find(Path(REAL) if real else cores(mode.rpartition(" ")[2]))
        kind = nucleus.kind if real else mode.rpartition(" ")[2]
        there = Device(nucleus, kind, real, Path(name))
        try:
            yield there
        finally:
            there.clean()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Beside a real nucleus: the whole test there, by its name."""
    if not BESIDE or "device" not in pyfuncitem.funcargs or pyfuncitem.funcargs["device"] is not None:
        return None
    file, _, test = pyfuncitem.nodeid.partition("::")
    words = ["env", f"{ROOT}={REAL}", sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider"]
    words += ["--rootdir", str(CHECKOUT), f"{CHECKOUT / file}::{test}"]
    command = [*BESIDE, "sh", "-c", f"cd {shlex.quote(str(CHECKOUT))} && exec {shlex.join(words)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    if " skipped" in done.stdout and " passed" not in done.stdout:
        pytest.skip("skipped beside it")
    return True
