"""Nucleus lite: its ggl-cli, its units under systemd, and its own state (`config.db`, read only).

ggl-cli only queues: ggdeploymentd reads the folders later. The outcome is read from ggdeploymentd's lines and the
nucleus's state, where a deployment is written at its roots. ggl-cli takes no
configuration either: a line goes into the defaults of recipes of its own, which lite merges over older defaults even
at the same version, in place; it cannot take keys away. (CreateLocalDeployment over IPC could set configuration; it
needs a component's token, so a component that is deployed for it and removes itself.)
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from doctor import components
from edgeloop.errors import EdgeloopError
from edgeloop_tools.config import grants
from edgeloop_tools.nucleus.model import OURS, Component, Deployment, Kind, Outcome, Say, run

CONFIGURATION = Path("/etc/greengrass/config.yaml")
MEND = "run it as root or as a member of the nucleus's group"
_CALL = 60.0
_EVERY = 1.0
_LOCAL = ("services", "DeploymentService", "thingGroupsToRootComponents", "LOCAL_DEPLOYMENTS")


class Lite:
    """program: ggl-cli."""

    kind: Kind = "lite"

    def __init__(self, root: Path, program: str) -> None:
        self.root, self._program = root, program

    @property
    def version(self) -> str:
        found = _at(self._state(), ("services", "FleetStatusService", "version"))
        return str(found or "") or run([self._program, "--version"], _CALL, mend=MEND).rpartition(" ")[2]

    def components(self) -> list[Component]:
        services = self._state().get("services", {})
        found = []
        try:
            states = components.lite()
        except (OSError, subprocess.SubprocessError) as error:
            raise EdgeloopError("systemd does not say", where="systemctl", why=str(error), mend=MEND) from None
        for name, (state, why) in states.items():
            known = services.get(name)
            if isinstance(known, Mapping) and "version" in known and not name.startswith("aws.greengrass."):
                found.append(Component(name, str(known["version"]), state, why, known.get("configuration") or {}))
        return sorted(found, key=lambda c: c.name)

    def roots(self) -> list[str]:
        found = _at(self._state(), _LOCAL)
        return sorted(name for name in found if name.startswith(OURS)) if isinstance(found, Mapping) else []

    def deploy(self, work: Deployment, timeout: float, say: Say) -> Outcome:
        with tempfile.TemporaryDirectory(prefix="edgeloop-deploy-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            wanted = _recipes(work, folder) if work.roots else {}
            words = [self._program, "deploy"]
            if work.roots:
                words += ["--recipe-dir", name, "--artifacts-dir", str(work.artifacts)]
            for root, version in work.roots.items():
                words += ["--add-component", f"{root}={version}"]
            for root in work.remove:
                words += ["--remove-component", root]
            since = time.time()
            found = re.search(r"Deployment id: *([0-9a-fA-F-]+)", run(words, _CALL, mend=MEND))
            if found is None:
                raise EdgeloopError("the nucleus gave no deployment id", where=self._program)
            say(f"deployment {found[1]}; packages may be installed first")
            outcome = self._wait(found[1], work, since, timeout)
        if outcome.succeeded:
            for line in self._differences({name: wanted[name] for name in work.merge if name in wanted}):
                say(line)
        return outcome

    def log(self, component: str, lines: int) -> list[str]:
        return _journal("-n", str(lines), "-t", component)

    def _wait(self, id: str, work: Deployment, since: float, timeout: float) -> Outcome:
        end, readable = time.monotonic() + timeout, bool(_journal("-t", "ggdeploymentd", "-n", "1"))
        while True:
            state = self._state()
            if work.roots:
                arrived = all(id in (_at(state, ("services", root, "configArn")) or ()) for root in work.roots)
            else:
                there = _at(state, _LOCAL) or {}
                arrived = not any(root in there for root in work.remove)
            said = _journal("-t", "ggdeploymentd", f"--since=@{since:.3f}")
            ends = [line for line in said if "Completed deployment processing" in line]
            if ends:
                succeeded = arrived and "SUCCEEDED" in ends[0]
                return Outcome(id, "SUCCEEDED" if succeeded else "FAILED", "" if succeeded else _why(said))
            if arrived and not readable and all(c.well for c in self.components()):
                return Outcome(id, "SUCCEEDED", "by the states of its components: the journal cannot be read")
            if time.monotonic() > end:
                return Outcome(id, "IN_PROGRESS", _why(said))
            time.sleep(_EVERY)

    def _differences(self, wanted: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """What the device has otherwise: keys that an earlier line had, and values that a deployment had set."""
        services = self._state().get("services", {})
        for name, configuration in wanted.items():
            has = (services.get(name) or {}).get("configuration") or {}
            stale, other = [], []
            for path, value in _leaves(has):
                granted = any(mark in key for key in path for mark in grants.MARKS)
                if path and (path[0] != grants.ACCESS or granted):
                    expected = _at(configuration, path)
                    if expected is None and not _empty(value):
                        stale.append(".".join(path))
                    elif expected is not None and _text(expected) != _text(value):
                        other.append(".".join(path))
            if stale:
                keys = ", ".join(stale[:6])
                why = "ggl-cli cannot take keys away; deploy --local --remove, then deploy again"
                yield f"{name} keeps what the line no longer has ({keys}): {why}"
            if other:
                yield f"{name}: {', '.join(other[:6])} did not arrive: a deployment had set another value, which stays"

    def _state(self) -> dict[str, Any]:
        return read(self.root / "config.db")


def read(path: Path) -> dict[str, Any]:
    """The nucleus's configuration tree. Raises EdgeloopError."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as base:
            names = dict(base.execute("SELECT keyid, keyvalue FROM keyTable"))
            parents = dict(base.execute("SELECT keyid, parentid FROM relationTable"))
            values = dict(base.execute("SELECT keyid, value FROM valueTable"))
    except sqlite3.Error as error:
        raise EdgeloopError("cannot read the nucleus's state", where=str(path), why=str(error), mend=MEND) from None
    nodes: dict[int, Any] = {key: json.loads(values[key]) if key in values else {} for key in names}
    tree: dict[str, Any] = {}
    for key, name in names.items():
        above = nodes[parents[key]] if key in parents else tree
        if isinstance(above, dict):
            above[name] = nodes[key]
    return tree


def _recipes(work: Deployment, folder: Path) -> dict[str, dict[str, Any]]:
    """Writes the recipes with the line in their defaults; component → its defaults then."""
    wanted = {}
    for path in sorted(work.recipes.glob("*.yaml")):
        recipe = yaml.safe_load(path.read_text())
        name = recipe["ComponentName"]
        configuration = recipe.setdefault("ComponentConfiguration", {}).setdefault("DefaultConfiguration", {})
        wanted[name] = layered(configuration, work.merge.get(name, {}))
        recipe["ComponentConfiguration"]["DefaultConfiguration"] = wanted[name]
        Path(folder, path.name).write_text(yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
    return wanted


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


def _journal(*options: str) -> list[str]:
    """Empty where this user may not read it."""
    words = ["journalctl", "-q", "--no-pager", "-o", "cat", *options]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_CALL)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()


def _why(said: list[str]) -> str:
    errors = [line.partition(": ")[2] for line in said if line.startswith("E[ggdeploymentd]")]
    return "; ".join(dict.fromkeys(errors[-3:]))


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, tree


def _empty(value: Any) -> bool:
    return value in ({}, [], "", None)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return json.dumps([_text(entry) for entry in value])
    return str(value)
