"""`deploy --local`: onto this machine's nucleus, or the local core where there is none; waits for the outcome and tells
it."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.nucleus import Component, Deployment, Nucleus, Outcome, find
from edgeloop_tools.nucleus.classic import CREDENTIALS, Classic
from edgeloop_tools.nucleus.model import OURS, Say

if TYPE_CHECKING:
    from edgeloop_tools.config.line import Line

WAIT = 900.0
"""s: a first deployment installs packages."""
WATCHED = {"classic": 30.0, "lite": 30.0, "core": 2.0}
"""s after a success: a `run` that dies after a while counts as a success on both nuclei."""
_EVERY = 2.0


def deploy(arguments: argparse.Namespace) -> int:
    """Builds, then deploys all components, or those that the line configures; 1 where they are not well after it."""
    from edgeloop_tools import config
    from edgeloop_tools.build import ARTIFACTS, RECIPES, build
    from edgeloop_tools.model.publish import resolved

    nucleus = find(arguments.root)
    if arguments.remove:
        return remove(nucleus, arguments.timeout or WAIT, print, dry=arguments.dry_run)
    line = config.load(arguments.line, arguments.overlay) if arguments.line else None
    work = Deployment(roots(line), resolved(line.configured()) if line else {}, (), RECIPES, ARTIFACTS)
    work = possible(nucleus, work, print)
    lacking = programs_lacking(work.merge)
    for text in lacking:
        print(text, flush=True)
    if arguments.dry_run:
        print(f"would deploy with {_NAMES[nucleus.kind]}: {', '.join(f'{n} {v}' for n, v in work.roots.items())}")
        print(json.dumps({name: {"MERGE": merge} for name, merge in work.merge.items()}, indent=1))
        return 0
    build()
    work = with_roots_there(nucleus, work)
    outcome = nucleus.deploy(work, arguments.timeout or WAIT, print)
    if not outcome.succeeded:
        return told(nucleus, outcome, print)
    code = watched(nucleus, arguments.watch if arguments.watch is not None else WATCHED[nucleus.kind], print)
    if lacking and not code:
        print(f"but {len(lacking)} source{'s' * (len(lacking) > 1)} cannot run: {'; '.join(lacking)}")
        return 1
    return code


def programs_lacking(merge: Mapping[str, Any]) -> list[str]:
    """A line for each `process` source whose program is not on this machine."""
    found = []
    sources = merge.get("io.edgeloop.SensorIngest", {}).get("sources", {})
    for id, entry in sorted(sources.items()):
        if not isinstance(entry, dict) or entry.get("type") != "process":
            continue
        try:
            program, folder = shlex.split(str(entry.get("command", "")))[0], str(entry.get("folder", ""))
        except (ValueError, IndexError):
            continue
        where = str(Path(folder, program)) if "/" in program and folder else program
        if shutil.which(where) is None:
            why = "is no program that can be executed" if Path(where).is_file() else "is not on this machine"
            found.append(f"sources.{id}: {where} {why}: install it, or correct `command`")
    return found


_NAMES = {"classic": "greengrass-cli", "lite": "ggl-cli", "core": "the local core"}


def remove(nucleus: Nucleus, timeout: float, say: Say, *, dry: bool = False) -> int:
    """Takes back what local deployments put there; work folders stay."""
    there = nucleus.roots()
    if not there:
        say("nothing of Edgeloop was deployed here")
        return 0
    if dry:
        say(f"would remove {', '.join(there)}")
        return 0
    outcome = nucleus.deploy(Deployment({}, remove=there), timeout, say)
    if not outcome.succeeded:
        return told(nucleus, outcome, say)
    left = [c.name for c in nucleus.components() if c.name.startswith(OURS)]
    say(f"SUCCEEDED: removed {', '.join(there)}" + (f"; still there: {', '.join(left)}" if left else ""))
    return 1 if left else 0


def roots(line: Line | None) -> dict[str, str]:
    """Root components: configuration reaches no other on the classic nucleus, so each that is configured is one."""
    from edgeloop import __version__
    from edgeloop_tools.build.components import RUNTIME, UMBRELLA

    if line is None:
        return {UMBRELLA: __version__}
    return dict.fromkeys((RUNTIME, *line.configured()), __version__)


def possible(nucleus: Nucleus, work: Deployment, say: Say) -> Deployment:
    """Without what this nucleus would refuse: a component that names token exchange, where there is none."""
    from edgeloop_tools.build.components import UMBRELLA, declarations

    if not isinstance(nucleus, Classic) or not any(name in work.roots for name in (*CREDENTIALS, UMBRELLA)):
        return work
    why = nucleus.without_credentials()
    if not why:
        return work
    wanted = dict(work.roots)
    if version := wanted.pop(UMBRELLA, ""):
        wanted |= {declaration.name: version for declaration in declarations() if not declaration.optional}
    left = [name for name in CREDENTIALS if wanted.pop(name, "")]
    say(f"without {' and '.join(left)}, so without upload and new models: {why}")
    merge = {name: values for name, values in work.merge.items() if name not in left}
    return replace(work, roots=wanted, merge=merge)


def with_roots_there(nucleus: Nucleus, work: Deployment) -> Deployment:
    """All of ours that are on the device, at the versions of this checkout: a nucleus keeps a version that satisfies a
    requirement, and refuses where one that stays would not."""
    from edgeloop import __version__

    names = {path.name.rpartition("-")[0] for path in work.recipes.glob("*.yaml")}
    there = [name for name in _quietly(nucleus) if name in names and name not in work.roots]
    return replace(work, roots={**work.roots, **dict.fromkeys(there, __version__)})


def _quietly(nucleus: Nucleus) -> list[str]:
    try:
        return nucleus.roots()
    except ControlError:
        return []


def told(nucleus: Nucleus, outcome: Outcome, say: Say) -> int:
    """Says what a deployment ended in, with each component that is not well and its last line."""
    say(f"deployment {outcome.id}: {outcome.state}{f': {outcome.why}' if outcome.why else ''}")
    try:
        ill = [c for c in nucleus.components() if c.name.startswith(OURS) and not c.well]
    except EdgeloopError:
        ill = []
    for component in ill:
        say(_illness(nucleus, component))
    if nucleus.kind == "lite":
        say("nucleus lite does not go back by itself: deploy the version before again")
    return 1


def watched(nucleus: Nucleus, seconds: float, say: Say) -> int:
    """1 where one of ours is not well within that time."""
    end = time.monotonic() + seconds
    while True:
        ill = [c for c in nucleus.components() if c.name.startswith(OURS) and c.state in ("ERRORED", "BROKEN")]
        if ill:
            for component in ill:
                say(_illness(nucleus, component))
            say(f"the deployment SUCCEEDED, but {' and '.join(c.name for c in ill)} did not stay well")
            return 1
        if time.monotonic() >= end:
            break
        time.sleep(min(_EVERY, max(0.0, end - time.monotonic())))
    where = _option(nucleus)
    say(
        f"SUCCEEDED, and well for {seconds:g} s; look with `edgeloop component list{where}` and "
        f"`edgeloop logs{where} COMPONENT`"
    )
    return 0


def _illness(nucleus: Nucleus, component: Component) -> str:
    try:
        lines = [line for line in nucleus.log(component.name, 20) if line.strip()]
    except EdgeloopError:
        lines = []
    last = f": {lines[-1].strip()[:300]}" if lines else ""
    return f"{component.name} {component.version} is {component.state}{last}"


def _option(nucleus: Nucleus) -> str:
    from edgeloop_tools.core import daemon

    if nucleus.kind != "core" or nucleus.root == daemon.default_root().absolute():
        return ""
    return f" --root {nucleus.root}"
