"""What a device says of itself: its nucleus, the bus or the Console, and the work folders."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from edgeloop import decode, topics
from edgeloop.bus import Bus
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop_tools.core.client import CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.nucleus import find
from edgeloop_tools.nucleus.model import OURS, Nucleus

Origin = Literal["console", "bus", "files"]
CONSOLE: Final = "io.edgeloop.Console"
SOCKET: Final = "operator.sock"
SILENT: Final = ("Runtime", "Edgeloop")
"""Components of ours that have no health: their process sleeps or is none."""
_PAUSE: Final = 0.1
_ANSWER: Final = 10.0
_LARGEST: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Running:
    """A component as its nucleus has it. restarts, root (deployed by name): None where the nucleus does not say."""

    name: str
    version: str
    state: str
    reason: str
    restarts: int | None = None
    root: bool | None = None
    pids: tuple[int, ...] = ()

    @property
    def short(self) -> str:
        return topics.short(self.name)

    @property
    def well(self) -> bool:
        return self.state in ("RUNNING", "FINISHED")


@dataclass(slots=True)
class Found:
    """origin: where healths and results are from. health: document by component's short name; results: by monitor, with
    `state` and `learned`; cameras: counts by camera. listened: s. why: what could not be read, a line each."""

    root: Path
    nucleus: str
    components: list[Running]
    origin: Origin = "files"
    health: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    results: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    cameras: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    listened: float = 0.0
    why: list[str] = field(default_factory=list)

    def work(self, component: str) -> Path:
        return self.root / "work" / f"{OURS}{component}"

    def settings(self, component: str, name: str) -> dict[str, Any]:
        """A map of a component's configuration, as it remembers it; empty where there is none."""
        path = self.work(component) / "configuration.json"
        try:
            document = decode.document(path.read_bytes(), what="a configuration")
        except FileNotFoundError:
            return {}
        except (OSError, DecodeError) as error:
            self.note(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
            return {}
        value = document.get(name) if isinstance(document, dict) else None
        return {id: entry for id, entry in value.items() if entry} if isinstance(value, dict) else {}

    def note(self, line: str) -> None:
        if line not in self.why:
            self.why.append(line)


def gather(root: Path | None, wait: float) -> Found:
    """Raises EdgeloopError where there is no nucleus to ask."""
    nucleus = find(root)
    path = nucleus.root.absolute()
    found = Found(path, nucleus.kind, _components(nucleus))
    operators = path / "work" / CONSOLE / SOCKET
    if operators.is_socket():
        try:
            _by_console(operators, found)
        except (OSError, DecodeError) as error:
            found.note(f"the Console does not answer: {getattr(error, 'strerror', None) or error}")
    if found.origin == "files" and nucleus.kind == "core":
        _by_bus(found, wait)
    if found.origin == "files":
        _by_metrics(found)
    return found


def _components(nucleus: Nucleus) -> list[Running]:
    if nucleus.kind == "core":
        client = CoreClient(nucleus.root)
        try:
            listed = client.components()
        except ControlError as error:
            if error.code == "closed":
                mend = "start it (edgeloop core start), or name a nucleus with --root"
                raise EdgeloopError("no core runs here", where=str(nucleus.root), mend=mend) from None
            raise
        finally:
            client.close()
        return [Running(c.name, c.version, c.state, c.reason, c.restarts, c.root, c.pids) for c in listed]
    roots = set(nucleus.roots()) if nucleus.kind == "lite" else None
    return [
        Running(c.name, c.version, c.state, c.reason, None, None if roots is None else c.name in roots)
        for c in nucleus.components()
    ]


def _by_console(path: Path, found: Found) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(_ANSWER)
        caller.connect(str(path))
        caller.sendall(b'{"command": "status"}\n')
        with caller.makefile("rb") as answers:
            answer = decode.document(answers.readline(_LARGEST), dict[str, Any], what="the Console's answer")
    told = answer.get("ok")
    if not isinstance(told, dict):
        raise DecodeError("the Console refused", why=str(answer.get("error", "no reason")))
    found.origin = "console"
    for entry in told.get("components", ()):
        if entry.get("heard_s") is not None and entry.get("state") not in ("silent", "absent", "unheard"):
            process = {"memory_mb": entry.get("memory_mb")}
            found.health[str(entry.get("name"))] = {**entry, "process": process}
    for asset in told.get("assets", ()):
        found.results |= {str(m.get("id")): m for m in asset.get("monitors", ())}
        found.cameras |= {str(c.get("id")): c.get("counts") or {} for c in asset.get("cameras", ())}


def _by_bus(found: Found, wait: float) -> None:
    """Listens until everything that should speak has, and no longer than `wait` s."""
    client = CoreClient(found.root)
    try:
        address, token = client.observer()
    except ControlError as error:
        found.note(f"the bus cannot be heard: {error}")
        return
    finally:
        client.close()
    lock = threading.Lock()

    def health(topic: str, payload: bytes) -> None:
        document = decode.document(payload, dict[str, Any], what="a health")
        with lock:
            found.health[topics.short(str(document.get("component", "")))] = document

    def results(topic: str, payload: bytes) -> None:
        document = decode.document(payload, dict[str, Any], what="results")
        with lock:
            for entry in document.get("results", ()):
                if "monitor" in entry:
                    found.results[str(entry["monitor"])] = entry

    speakers = {c.short for c in found.components if c.name.startswith(OURS) and c.state == "RUNNING"} - {*SILENT}
    monitors = set(found.settings("AnomalyInference", "monitors")) if "AnomalyInference" in speakers else set()
    began = time.monotonic()
    with Bus(address, token) as bus:
        if not bus.wait_connected(wait):
            found.note("the bus does not answer")
            return
        bus.subscribe(topics.health("+"), health)
        bus.subscribe(topics.results("+"), results)
        while time.monotonic() - began < wait:
            with lock:
                if speakers <= found.health.keys() and monitors <= found.results.keys():
                    break
            time.sleep(_PAUSE)
    found.origin, found.listened = "bus", time.monotonic() - began


def _by_metrics(found: Found) -> None:
    """The last line of each component's metrics, written once a minute."""
    for component in found.components:
        path = found.work(component.short) / "metrics" / f"{component.short}.emf"
        try:
            line = path.read_bytes().splitlines()[-1:]
            document = decode.document(line[0], dict[str, Any], what="metrics") if line else {}
        except FileNotFoundError:
            continue
        except (OSError, DecodeError) as error:
            found.note(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; run this as its user")
            continue
        found.health[component.short] = {
            "problem_count": int(document.get("problems", 0)),
            "process": {"memory_mb": document.get("memory_mb")},
            "gauges": document,
            "time": int((document.get("_aws") or {}).get("Timestamp", 0)) * 1_000_000,
        }


def memory(pids: tuple[int, ...]) -> float | None:
    """MB resident of processes that this user may look at."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return None
    return round(total * os.sysconf("SC_PAGE_SIZE") / 1e6, 1) if pids else None
