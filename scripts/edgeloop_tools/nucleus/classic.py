"""The classic nucleus, by greengrass-cli."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from doctor import components
from edgeloop.errors import EdgeloopError
from edgeloop_tools.nucleus.arrival import differences
from edgeloop_tools.nucleus.model import OURS, Component, Deployment, Kind, Outcome, Say, run, tail

MEND = "sudo and the component aws.greengrass.Cli are needed"
TOKEN_EXCHANGE = "aws.greengrass.TokenExchangeService"
CREDENTIALS = ("io.edgeloop.ModelUpdate", "io.edgeloop.StreamUpload", "io.edgeloop.VideoUpload")
"""Those of ours that name token exchange: a nucleus without its recipe refuses them."""
_CALL = 60.0
_EVERY = 1.0


class Classic:
    """program: greengrass-cli."""

    kind: Kind = "classic"

    def __init__(self, root: Path, program: str) -> None:
        self.root, self._program = root, program

    @property
    def version(self) -> str:
        return next((c.version for c in self._all() if c.name == "aws.greengrass.Nucleus"), "")

    def components(self) -> list[Component]:
        return [c for c in self._all() if c.name != "aws.greengrass.Nucleus"]

    def roots(self) -> list[str]:
        return sorted(c.name for c in self.components() if c.name.startswith(OURS))

    def deploy(self, work: Deployment, timeout: float, say: Say) -> Outcome:
        """The nucleus's own failure policy, DO_NOTHING, leaves what failed in place of what ran."""
        with ExitStack() as stack:
            recipes = work.recipes
            if recipe := self._token_exchange(work):
                recipes = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeloop-deploy-")))
                shutil.copytree(work.recipes, recipes, dirs_exist_ok=True)
                (recipes / f"{TOKEN_EXCHANGE}-{recipe['ComponentVersion']}.yaml").write_text(yaml.safe_dump(recipe))
            words = [self._program, "deployment", "create", "--failure-handling-policy", work.failure]
            if work.roots:
                words += ["--recipeDir", str(recipes)]
                if artifacts := self._newer(work.artifacts, stack):
                    words += ["--artifactDir", str(artifacts)]
            for name, version in work.roots.items():
                words += ["--merge", f"{name}={version}"]
            for name in work.remove:
                words += ["--remove", name]
            if work.merge:
                update = {name: {"RESET": [""], "MERGE": dict(merge)} for name, merge in work.merge.items()}
                words += ["--update-config", json.dumps(update)]
            found = re.search(r"Deployment Id: *(\S+)", run(words, _CALL, mend=MEND))
            if found is None:
                raise EdgeloopError("the nucleus gave no deployment id", where=self._program)
            say(f"deployment {found[1]}; packages may be installed first")
            outcome = self._wait(found[1], timeout)
        if outcome.succeeded and work.merge:
            for name, why in differences(work.merge, self.components()):
                say(f"{name}: {why}: the nucleus takes configuration for components that a deployment names")
        return outcome

    def log(self, component: str, lines: int) -> list[str]:
        return tail(self.root / "logs" / f"{component}.log", lines)

    def without_credentials(self) -> str:
        """Why a component that names token exchange cannot be deployed here; "" where it can."""
        known = {c.name: c for c in self._all()}
        if TOKEN_EXCHANGE in known or self._role_alias(known):
            return ""
        return "this nucleus has neither token exchange nor a role alias (iotRoleAlias)"

    def _role_alias(self, known: Mapping[str, Component]) -> str:
        nucleus = known.get("aws.greengrass.Nucleus")
        return str(nucleus.configuration.get("iotRoleAlias") or "") if nucleus else ""

    def _newer(self, artifacts: Path, stack: ExitStack) -> Path | None:
        """Of the artifacts, those that the nucleus has not: one that it copies again belongs to root until the nucleus
        starts its component anew, so that a process that is killed meanwhile cannot be started by its run script."""
        held = self.root / "packages" / "artifacts"
        there = [path.relative_to(artifacts) for path in artifacts.glob("*/*/*") if path.is_file()]
        newer = [path for path in there if not _same(artifacts / path, held / path)]
        if not newer:
            return None
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeloop-deploy-")))
        for path in newer:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifacts / path, folder / path)
        return folder

    def _token_exchange(self, work: Deployment) -> dict[str, Any]:
        """A recipe that names the service, which is a class of the nucleus: it comes from the cloud, or from here."""
        known = {c.name: c for c in self._all()}
        if TOKEN_EXCHANGE in known or not self._role_alias(known) or not _needs(work.roots):
            return {}
        return {
            "RecipeFormatVersion": "2020-01-25", "ComponentName": TOKEN_EXCHANGE, "ComponentVersion": "2.0.3",
            "ComponentType": "aws.greengrass.generic", "ComponentPublisher": "local",
            "ComponentConfiguration": {"DefaultConfiguration": {"port": 0}},
            "Manifests": [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {}}],
        }  # fmt: skip

    def _wait(self, id: str, timeout: float) -> Outcome:
        end, state, why = time.monotonic() + timeout, "QUEUED", ""
        while True:
            said = run([self._program, "deployment", "status", "-i", id], _CALL, mend=MEND)
            line = next((line for line in said.splitlines() if line.startswith(f"{id}:")), said)
            state = line.partition(":")[2].strip().split(" ")[0] or state
            rest = " ".join(said.replace(line, "", 1).split())
            why = rest[-600:]
            if state not in ("QUEUED", "IN_PROGRESS") or time.monotonic() > end:
                return Outcome(id, state, why)
            time.sleep(_EVERY)

    def _all(self) -> list[Component]:
        return parse(run([self._program, "component", "list"], _CALL, mend=MEND).splitlines())


def _same(path: Path, held: Path) -> bool:
    try:
        return filecmp.cmp(path, held, shallow=False)
    except OSError:
        return False


def _needs(roots: Mapping[str, str]) -> bool:
    return any(name in roots for name in (*CREDENTIALS, "io.edgeloop.Edgeloop"))


def parse(lines: Sequence[str]) -> list[Component]:
    """What `component list` prints.

    >>> parse(["Component Name: a.B", "    Version: 1.0.0", "    State: RUNNING", "    Configuration: {}"])[0].state
    'RUNNING'
    """
    return [
        Component(f["Component Name"], f.get("Version", ""), f.get("State", ""), "", _json(f.get("Configuration", "")))
        for f in components.parse(lines)
    ]


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
