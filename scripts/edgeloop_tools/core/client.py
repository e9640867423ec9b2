"""A running local core, for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeloop_tools.core.control import BlockingClient, ControlError

FailurePolicy = Literal["ROLLBACK", "DO_NOTHING"]


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """`state` in a nucleus's words; `reason` says why it is ERRORED or BROKEN; `restarts` counts its runs again."""

    name: str
    version: str
    state: str
    pids: tuple[int, ...]
    restarts: int
    reason: str
    root: bool
    configuration: Mapping[str, Any]

    @property
    def pid(self) -> int | None:
        """The leader of the component's process group."""
        return self.pids[0] if self.pids else None


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """`status` is QUEUED, IN_PROGRESS, SUCCEEDED or FAILED; `components` maps a name to the reason that it failed."""

    id: str
    status: str
    reason: str
    created: float
    components: Mapping[str, str]


class CoreClient:
    """Calls raise ControlError, one line; code `closed` where no core runs at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self._control = BlockingClient(self.root / "control.sock")

    def deploy(
        self,
        components: Mapping[str, str] | None = None,
        merge: Mapping[str, Mapping[str, Any]] | None = None,
        reset: Mapping[str, Iterable[str]] | None = None,
        remove: Iterable[str] = (),
        recipe_dir: Path | str | None = None,
        artifact_dir: Path | str | None = None,
        *,
        failure: FailurePolicy = "ROLLBACK",
    ) -> str:
        """Queue a local deployment; returns its id at once.

        components: root component → version or requirement. merge: component → configuration. reset: component →
        JSON pointers ("/sources/press1", "" for all). failure: what a classic nucleus does when a component breaks
        (lite never rolls back). What is wrong with recipes, dependencies or artifacts raises here: nothing has changed
        then.
        """
        request = {
            "components": dict(components or {}),
            "merge": {name: dict(value) for name, value in (merge or {}).items()},
            "reset": {name: list(paths) for name, paths in (reset or {}).items()},
            "remove": list(remove),
            "recipe_dir": str(Path(recipe_dir).absolute()) if recipe_dir else None,
            "artifact_dir": str(Path(artifact_dir).absolute()) if artifact_dir else None,
            "failure": failure,
        }
        return str(self._control.call("deployment.create", request, timeout=60)["id"])

    def wait(self, deployment: str, timeout: float = 600) -> DeploymentStatus:
        """The end of a deployment. Raises ControlError (code `deployment_failed`, or `timeout`)."""
        end = time.monotonic() + timeout
        while (remaining := end - time.monotonic()) > 0:
            slice_ = min(remaining, 30)
            answer = self._long("deployment.wait", {"id": deployment, "timeout": slice_}, slice_)
            status = DeploymentStatus(**answer)
            if status.status == "SUCCEEDED":
                return status
            if status.status == "FAILED":
                raise ControlError(
                    "the deployment failed", where=deployment, why=status.reason, code="deployment_failed"
                )
        raise ControlError(
            "the deployment did not end in time",
            where=deployment,
            why=f"waited {timeout:g} s",
            mend="look at `edgeloop component list` and `edgeloop logs`",
            code="timeout",
        )

    def deployments(self) -> list[DeploymentStatus]:
        """Newest first."""
        return [DeploymentStatus(**entry) for entry in self._control.call("deployment.list")]

    def components(self) -> list[ComponentStatus]:
        return [
            ComponentStatus(**{**entry, "pids": tuple(entry["pids"])}) for entry in self._control.call("component.list")
        ]

    def component(self, name: str) -> ComponentStatus:
        for status in self.components():
            if status.name == name:
                return status
        raise ControlError(
            f"no component {name}", mend="`edgeloop component list` shows what there is", code="not_found"
        )

    def wait_state(self, name: str, states: Iterable[str] = ("RUNNING",), timeout: float = 30) -> ComponentStatus:
        """Returns once the component is in one of `states`. Raises ControlError (code `timeout`)."""
        self._long("component.wait", {"name": name, "states": list(states), "timeout": timeout}, timeout)
        return self.component(name)

    def observer(self) -> tuple[Path, str]:
        """The IPC socket and a token that may publish and subscribe to everything. For tools, never for components."""
        answer = self._control.call("observer")
        return Path(answer["socket"]), str(answer["token"])

    def restart(self, name: str) -> None:
        self._control.call("component.restart", {"name": name}, timeout=60)

    def stop_component(self, name: str) -> None:
        """Stops it and its HARD dependants; it stays so until a restart or a deployment that changes it."""
        self._control.call("component.stop", {"name": name}, timeout=60)

    def fault(self, kind: str, **arguments: Any) -> Any:
        """Inject a fault: `kill` (component, signal=9), `kill_bus`, `full_disk` (component, bytes), `disk_room`
        (component), `network` (offline: bool), `s3_refuse`, `kinesis_throttle` and `kill_stream_manager` (see
        faults.Faults); any other kind goes to the bus."""
        return self._control.call("fault", {"kind": kind, "arguments": arguments}, timeout=30)

    def clear_restart_counters(self) -> None:
        self._control.call("component.clear_restarts")

    def status(self) -> dict[str, Any]:
        """root, nucleus, pid, bus pid, user, sockets, version."""
        answer: dict[str, Any] = self._control.call("status")
        return answer

    def stop(self, timeout: float = 60) -> None:
        """Stop every component and the core; returns when the process has ended."""
        pid = int(self.status()["pid"])
        self._control.call("stop", timeout=timeout)
        self._control.close()
        end = time.monotonic() + timeout
        while _alive(pid):
            if time.monotonic() > end:
                raise ControlError("the core does not end", where=f"pid {pid}", mend="kill it", code="timeout")
            time.sleep(0.02)

    def close(self) -> None:
        self._control.close()

    def _long(self, method: str, params: Mapping[str, Any], timeout: float) -> Any:
        """A call that takes its time, on a connection of its own: other threads go on calling."""
        with closing(BlockingClient(self.root / "control.sock")) as control:
            return control.call(method, params, timeout + 10)


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def read_log(root: Path, component: str) -> str:
    """What a component wrote so far."""
    return (root / "logs" / f"{component}.log").read_text(errors="replace")


def parse_update(text: str) -> dict[str, Any]:
    """The Greengrass CLI's `--update-config`: JSON, or a file of JSON.

    >>> parse_update('{"a.b": {"MERGE": {"rate": 5}, "RESET": ["/old"]}}')
    {'a.b': {'MERGE': {'rate': 5}, 'RESET': ['/old']}}
    """
    source = "the argument"
    if not text.lstrip().startswith("{"):
        path = Path(text.removeprefix("file://"))
        try:
            text, source = path.read_text(), str(path)
        except OSError as error:
            raise ControlError(
                "cannot read --update-config", where=str(path), why=error.strerror or str(error)
            ) from None
    try:
        update = json.loads(text)
    except ValueError as error:
        raise ControlError("--update-config is no JSON", where=source, why=str(error)) from None
    if not isinstance(update, dict) or not all(
        isinstance(entry, dict) and entry.keys() <= {"MERGE", "RESET"} for entry in update.values()
    ):
        raise ControlError(
            "--update-config has another shape",
            where=source,
            mend='write {"component": {"MERGE": {…}, "RESET": ["/path"]}}',
        )
    return update
