"""What the verbs of `commands` do."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeloop.clock import rfc3339
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import daemon
from edgeloop_tools.core.client import ComponentStatus, CoreClient, DeploymentStatus, parse_update
from edgeloop_tools.core.control import ControlError


def core_start(arguments: argparse.Namespace) -> int | None:
    root = _root(arguments)
    core = daemon.start(
        root,
        arguments.nucleus,
        component_user=arguments.component_user,
        thing_name=arguments.thing_name,
        region=arguments.region,
        token_exchange_port=arguments.token_exchange_port,
        stream_manager_port=arguments.stream_manager_port,
        poll=arguments.poll,
        token_exchange=arguments.token_exchange,
        resume=not arguments.fresh,
    )
    status = core.status()
    _show(
        arguments,
        status,
        f"The {status['nucleus']} core runs at {root} (pid {status['pid']}); components run as {status['user']}.",
    )
    return None


def core_stop(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    core.stop()
    _show(arguments, {"stopped": str(core.root)}, f"The core at {core.root} has stopped.")
    return None


def core_status(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    status = core.status()
    components = core.components()
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in status.items()]
    _show(
        arguments,
        {**status, "components": [_details(entry) for entry in components]},
        "\n".join([*lines, *_table(components)]),
    )
    return None


def deployment_create(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    update = parse_update(arguments.update_config) if arguments.update_config else {}
    id_ = core.deploy(
        dict(_pair(text) for text in arguments.merge),
        {name: entry["MERGE"] for name, entry in update.items() if entry.get("MERGE")},
        {name: entry["RESET"] for name, entry in update.items() if entry.get("RESET")},
        [name for text in arguments.remove for name in text.split(",")],
        arguments.recipeDir,
        arguments.artifactDir,
        failure=arguments.failure_handling_policy,
    )
    if arguments.wait is None:
        _show(arguments, {"deploymentId": id_}, f"Local deployment submitted! Deployment Id: {id_}")
        return None
    status = core.wait(id_, arguments.wait)
    _show(arguments, asdict(status), _deployment(status))
    return None


def deployment_status(arguments: argparse.Namespace) -> int | None:
    for status in _core(arguments).deployments():
        if status.id == arguments.deploymentId:
            _show(arguments, asdict(status), _deployment(status))
            return None
    raise ControlError(f"no deployment {arguments.deploymentId}", mend="`edgeloop deployment list` shows them")


def deployment_list(arguments: argparse.Namespace) -> int | None:
    found = _core(arguments).deployments()
    lines = [
        f"{status.id}  {rfc3339(int(status.created * 1e9))[:19]}Z  {status.status}  {status.reason}".rstrip()
        for status in found
    ]
    _show(arguments, [asdict(status) for status in found], "\n".join(lines) or "There are no deployments.")
    return None


def component_list(arguments: argparse.Namespace) -> int | None:
    from edgeloop_tools.nucleus import find

    nucleus = find(arguments.root)
    if nucleus.kind == "core":
        found = _core(arguments).components()
        _show(arguments, [_details(entry) for entry in found], "\n".join(_table(found)))
        return None
    there = nucleus.components()
    head: tuple[str, ...] = ("NAME", "VERSION", "STATE", "")
    rows = [head, *((c.name, c.version, c.state, c.reason) for c in there)]
    _show(arguments, [asdict(entry) for entry in there], "\n".join(_columns(rows)))
    return None


def component_details(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    found = [core.component(name) for name in arguments.names.split(",")]
    texts = []
    for entry in found:
        pairs: dict[str, Any] = {
            "Component Name": entry.name,
            "Version": entry.version,
            "State": entry.state,
            "Reason": entry.reason,
            "Root": entry.root,
            "Restarts": entry.restarts,
            "Processes": " ".join(map(str, entry.pids)),
            "Configuration": json.dumps(entry.configuration),
            "Log": core.root / "logs" / f"{entry.name}.log",
        }
        texts.append("\n".join(f"{key}: {value}" for key, value in pairs.items() if value != ""))
    _show(arguments, [_details(entry) for entry in found], "\n\n".join(texts))
    return None


def component_restart(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    for name in arguments.names.split(","):
        core.restart(name)
    return None


def component_stop(arguments: argparse.Namespace) -> int | None:
    core = _core(arguments)
    for name in arguments.names.split(","):
        core.stop_component(name)
    return None


def logs(arguments: argparse.Namespace) -> int | None:
    from edgeloop_tools.nucleus import find

    nucleus = find(arguments.root)
    if nucleus.kind == "lite":
        name = arguments.component or "ggdeploymentd"
        words = ["journalctl", "-q", "--no-pager", "-o", "cat", "-n", str(arguments.lines), "-t", name]
        os.execvp(words[0], [*words, *(["-f"] if arguments.follow else [])])
    folder = nucleus.root / "logs"
    default = "greengrass" if nucleus.kind == "classic" else "core"
    path = folder / f"{arguments.component or default}.log"
    if not path.is_file():
        there = ", ".join(sorted(found.stem for found in folder.glob("*.log")))
        raise EdgeloopError("there is no log", where=str(path), mend=f"there are: {there}" if there else "")
    for text in _tail(path, arguments.lines, follow=arguments.follow):
        sys.stdout.write(text)
        sys.stdout.flush()
    return None


def _tail(path: Path, lines: int, *, follow: bool) -> Iterator[str]:
    with path.open(errors="replace") as file:
        yield "".join(file.readlines()[-lines:] if lines else [])
        while follow:
            text = file.read()
            if text:
                yield text
            elif path.stat().st_size < file.tell():
                file.seek(0)
            else:
                select.select([], [], [], 0.2)


def _root(arguments: argparse.Namespace) -> Path:
    return (arguments.root or daemon.default_root()).absolute()


def _core(arguments: argparse.Namespace) -> CoreClient:
    return CoreClient(_root(arguments))


def _pair(text: str) -> tuple[str, str]:
    name, sign, version = text.partition("=")
    if not (name and sign and version):
        raise EdgeloopError("--merge has another shape", where=text, mend="write NAME=VERSION, such as a.b.C=1.0.0")
    return name, version


def _table(components: list[ComponentStatus]) -> list[str]:
    rows: list[tuple[str, ...]] = [("NAME", "VERSION", "STATE", "PID", "RESTARTS", "")]
    rows += [
        (entry.name, entry.version, entry.state, str(entry.pid or "-"), str(entry.restarts), entry.reason)
        for entry in components
    ]
    return _columns(rows)


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _details(entry: ComponentStatus) -> dict[str, Any]:
    return asdict(entry)


def _deployment(status: DeploymentStatus) -> str:
    return f"{status.id}: {status.status}" + (f" ({status.reason})" if status.reason else "")


def _show(arguments: argparse.Namespace, value: Any, text: str) -> None:
    print(json.dumps(value, default=str) if arguments.json else text)
