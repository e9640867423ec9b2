"""A core in a folder that components' user can reach, and recipes for it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeloop_tools.core import daemon
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError


@dataclass
class Folder:
    """Recipes and artifacts of tiny components."""

    path: Path
    roots: list[CoreClient] = field(default_factory=list)

    @property
    def recipes(self) -> Path:
        return self.path / "recipes"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def root(self) -> Path:
        return self.path / "root"

    def component(
        self,
        name: str,
        run: str | None = "exec sleep 1000",
        version: str = "1.0.0",
        *,
        install: str | None = None,
        hard: tuple[str, ...] = (),
        soft: tuple[str, ...] = (),
        configuration: dict[str, Any] | None = None,
        artifacts: dict[str, bytes] | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
        **steps: str,
    ) -> Path:
        """Write a recipe that both nuclei take."""
        scripts = {"install": install, "run": run, **steps}
        lifecycle = {key: {"Script": text, "Timeout": 20} if key == "install" else {"Script": text}
                     for key, text in scripts.items() if text is not None}
        dependencies = {other: {"VersionRequirement": ">=1.0.0 <3.0.0", "DependencyType": kind}
                        for kind, others in (("HARD", hard), ("SOFT", soft)) for other in others}
        recipe: dict[str, Any] = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": configuration or {}},
            "ComponentDependencies": dependencies,
            "Manifests": [{
                "Platform": {"os": "linux", "runtime": "*"},
                "Artifacts": [{"Uri": f"s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/{file}"}
                              for file in artifacts or ()],
                "Lifecycle": lifecycle,
            }],
        }
        if change:
            change(recipe)
        self.recipes.mkdir(exist_ok=True)
        for file, data in (artifacts or {}).items():
            target = self.artifacts / name / version / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        path = self.recipes / f"{name}-{version}.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    def start(self, nucleus: daemon.Nucleus = "classic", *, bus: bool = False, **options: Any) -> CoreClient:
        core = daemon.start(self.root, nucleus, bus=bus, settled=0.1, **options)
        self.roots.append(core)
        return core

    def deploy(self, core: CoreClient, *names: str, **options: Any) -> None:
        """Deploy version 1.0.0 of components, and wait for success."""
        self.artifacts.mkdir(exist_ok=True)
        versions = dict.fromkeys(names, "1.0.0") | options.pop("components", {})
        options = {"recipe_dir": self.recipes, "artifact_dir": self.artifacts, **options}
        core.wait(core.deploy(versions, **options), 60)

    def log(self, name: str) -> str:
        path = self.root / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def said(self, name: str, text: str, timeout: float = 60, times: int = 1) -> str:
        """The log of a component once it has said `text`."""
        end = time.monotonic() + timeout
        while self.log(name).count(text) < times:
            assert time.monotonic() < end, f"{name} never said {text!r}: {self.log(name)}"
            time.sleep(0.02)
        return self.log(name)

    def gone(self, *pids: int | None, timeout: float = 60) -> bool:
        """Whether the processes end within a time."""
        end = time.monotonic() + timeout
        while any(map(alive, pids)) and time.monotonic() < end:
            time.sleep(0.02)
        return not any(map(alive, pids))

    def saved(self, name: str) -> Any:
        return json.loads((self.root / "config" / name).read_bytes())


def alive(pid: int | None) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def folder() -> Iterator[Folder]:
    with made() as found:
        yield found


@contextmanager
def made() -> Iterator[Folder]:
    path = Path(tempfile.mkdtemp(prefix="edgeloop-core-"))
    path.chmod(0o755)
    found = Folder(path)
    found.recipes.mkdir()
    yield found
    for core in found.roots:
        with suppress(ControlError):
            core.stop()
    shutil.rmtree(path)


@pytest.fixture(scope="module", params=["classic", "lite"])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Folder, CoreClient]]:
    """A core with a bus for all tests of a module; each of them deploys components of its own."""
    with made() as found:
        yield found, found.start(request.param, bus=True)


@pytest.fixture(params=["classic", "lite"])
def nucleus(request: pytest.FixtureRequest) -> str:
    return str(request.param)
