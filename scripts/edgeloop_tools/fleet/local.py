"""`deploy --local`: onto this machine's nucleus, or the local core where there is none."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from edgeloop_tools.config.line import Line

Means = Literal["greengrass-cli", "ggl-cli", "core"]
CLASSIC = Path("/greengrass/v2/bin/greengrass-cli")
WAIT = 900.0
"""s: a first deployment installs packages."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Work:
    """What to deploy: roots with their versions, and each one's merge. folders: recipes, artifacts."""

    roots: dict[str, str]
    merge: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: Path = Path("recipes")
    artifacts: Path = Path("artifacts")


def deploy(arguments: argparse.Namespace) -> int:
    """Builds, then deploys all components, or those that the line configures."""
    from edgeloop_tools import config
    from edgeloop_tools.build import ARTIFACTS, RECIPES, build

    line = config.load(arguments.line, arguments.overlay) if arguments.line else None
    work = Work(roots(line), line.configured() if line else {}, RECIPES, ARTIFACTS)
    means, program = find(arguments.root)
    if arguments.dry_run:
        print(f"would deploy with {means}: {', '.join(f'{n} {v}' for n, v in work.roots.items())}")
        print(json.dumps({name: {"MERGE": merge} for name, merge in work.merge.items()}, indent=1))
        return 0
    build()
    if means == "greengrass-cli":
        with_greengrass_cli(program, work, print)
    elif means == "ggl-cli":
        with_ggl_cli(program, work, print)
    else:
        with_core(arguments.root, work, arguments.timeout or WAIT, print)
    return 0


def roots(line: Line | None) -> dict[str, str]:
    """Root components: configuration reaches no other on the classic nucleus, so each that is configured is one."""
    from edgeloop import __version__
    from edgeloop_tools.build.components import RUNTIME, UMBRELLA

    if line is None:
        return {UMBRELLA: __version__}
    return dict.fromkeys((RUNTIME, *line.configured()), __version__)


def find(root: Path | None) -> tuple[Means, str]:
    """(the means, its program): a nucleus's command line where one is installed, else the local core."""
    if root is not None and not (root / "bin" / "greengrass-cli").exists():
        return "core", ""
    classic = root / "bin" / "greengrass-cli" if root else CLASSIC
    if classic.exists():
        return "greengrass-cli", str(classic)
    if program := shutil.which("greengrass-cli"):
        return "greengrass-cli", program
    if program := shutil.which("ggl-cli"):
        return "ggl-cli", program
    return "core", ""


def with_greengrass_cli(program: str, work: Work, say: Say) -> None:
    """RESET to the recipes' defaults and merge the line: what an earlier line had and this one has not is gone."""
    update = {name: {"RESET": [""], "MERGE": merge} for name, merge in work.merge.items()}
    command = [
        program, "deployment", "create", "--recipeDir", str(work.recipes), "--artifactDir", str(work.artifacts),
        *(word for name, version in work.roots.items() for word in ("--merge", f"{name}={version}")),
    ]  # fmt: skip
    if update:
        command += ["--update-config", json.dumps(update)]
    say(_run(command, "sudo and the component aws.greengrass.Cli are needed"))


def with_ggl_cli(program: str, work: Work, say: Say) -> None:
    """ggl-cli takes no configuration: the line goes into the defaults of recipes of its own.

    Defaults never overwrite what a device has, so this is right for a first deployment; later changes come by
    `deploy --thing-group`.
    """
    import yaml

    with tempfile.TemporaryDirectory(prefix="edgeloop-deploy-") as folder:
        Path(folder).chmod(0o755)
        for path in sorted(work.recipes.glob("*.yaml")):
            recipe = yaml.safe_load(path.read_text())
            merge = work.merge.get(recipe["ComponentName"], {})
            configuration = recipe.setdefault("ComponentConfiguration", {}).setdefault("DefaultConfiguration", {})
            recipe["ComponentConfiguration"]["DefaultConfiguration"] = layered(configuration, merge)
            Path(folder, path.name).write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        command = [
            program, "deploy", "--recipe-dir", folder, "--artifacts-dir", str(work.artifacts),
            *(word for name, version in work.roots.items() for word in ("--add-component", f"{name}={version}")),
        ]  # fmt: skip
        say(_run(command, "run it as root or as a member of the nucleus's group"))
    if work.merge:
        say(
            "nucleus lite keeps the configuration that it already has: a line that changed goes by deploy --thing-group"
        )


def layered(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps merged, all else replaced.

    >>> layered({"a": {"x": 1}, "b": 2}, {"a": {"y": 3}, "b": [4]})
    {'a': {'x': 1, 'y': 3}, 'b': [4]}
    """
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = layered(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def with_core(root: Path | None, work: Work, timeout: float, say: Say) -> None:
    """On the local core, started where none runs; resets what an earlier line had given and this one has not."""
    from edgeloop_tools.config import difference
    from edgeloop_tools.config.render import own
    from edgeloop_tools.core import daemon
    from edgeloop_tools.core.builtin import RECIPES, STREAM_MANAGER
    from edgeloop_tools.core.client import CoreClient
    from edgeloop_tools.core.control import ControlError

    root = (root or daemon.default_root()).absolute()
    core = CoreClient(root)
    try:
        known = core.components()
    except ControlError as error:
        if error.code != "closed":
            raise
        core.close()
        core, known = daemon.start(root), []
        say(f"started a local core at {root}")
    try:
        had = {c.name: own(c.name, dict(c.configuration)) for c in known if c.name in work.merge}
        resets = {name: update.reset for name, update in difference(had, work.merge).items()}
        needed = dict(work.roots)
        if "io.edgeloop.StreamUpload" in needed or "io.edgeloop.Edgeloop" in needed:
            needed[STREAM_MANAGER] = str(RECIPES[STREAM_MANAGER].version)
        id = core.deploy(needed, work.merge, resets, recipe_dir=work.recipes, artifact_dir=work.artifacts)
        say(f"deployment {id}: {', '.join(f'{n} {v}' for n, v in needed.items())}; packages may be installed first")
        core.wait(id, timeout)
        where = _option(root)
        say(f"SUCCEEDED; look with `edgeloop component list{where}` and `edgeloop logs{where} COMPONENT`")
    finally:
        core.close()


def _option(root: Path) -> str:
    from edgeloop_tools.core import daemon

    return "" if root == daemon.default_root().absolute() else f" --root {root}"


def _run(command: Iterable[str], mend: str) -> str:
    words = list(command)
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=WAIT, env=dict(os.environ))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgeloopError("cannot deploy", where=words[0], why=str(error)) from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EdgeloopError("the nucleus refused", where=words[0], why=lines[-1] if lines else "no reason", mend=mend)
    return done.stdout.strip()
