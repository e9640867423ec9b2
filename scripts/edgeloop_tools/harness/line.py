"""A line to measure: a fresh local core, components from recipes and artifacts, an observer on the bus."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from edgeloop import __version__, journal
from edgeloop.clock import now
from edgeloop.errors import EdgeloopError
from edgeloop_tools.config.grants import granted
from edgeloop_tools.core.client import ComponentStatus, CoreClient
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.daemon import Nucleus, start
from edgeloop_tools.harness.observer import Observer
from edgeloop_tools.harness.processes import BUS, CORE, Meter
from edgeloop_tools.harness.recording import Intervention, Recording

MARK = ".edgeloop-demo"
KEPT = frozenset({"work", MARK})
RUNTIME = "io.edgeloop.Runtime"
INSTALLING = frozenset({"NEW", "INSTALLING", "QUEUED"})


def claim(root: Path) -> IO[str]:
    """Makes the folder this run's own until the file is closed. Raises EdgeloopError where it is somebody else's."""
    try:
        if root.is_dir() and any(root.iterdir()) and not (root / MARK).exists():
            raise EdgeloopError("this folder is no demo's", where=str(root), mend="name an empty folder with --root")
        root.mkdir(parents=True, exist_ok=True)
        mark = (root / MARK).open("a")
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mark.close()
            raise EdgeloopError("a demo is running there", where=str(root),
                                mend="wait for it, or name another folder with --root") from None  # fmt: skip
        return mark
    except OSError as error:
        raise _unusable(root, error) from error


def clear(root: Path) -> None:
    """Stops a core that was left behind and empties the folder but for the Runtime's environments."""
    try:
        _stop_running(root)
        for entry in root.iterdir():
            if entry.name not in KEPT:
                _remove(entry)
        for entry in (root / "work").iterdir() if (root / "work").is_dir() else ():
            if entry.name != RUNTIME:
                _remove(entry)
    except OSError as error:
        raise _unusable(root, error) from error


def _unusable(root: Path, error: OSError) -> EdgeloopError:
    return EdgeloopError("cannot use the demo's folder", where=str(error.filename or root),
                         why=error.strerror or str(error), mend="name another with --root")  # fmt: skip


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _stop_running(root: Path) -> None:
    if not (root / "control.sock").exists():
        return
    client = CoreClient(root)
    try:
        client.stop()
    except ControlError as error:
        if error.code != "closed":
            raise
    finally:
        client.close()


class Line:
    """Context manager. `poll` looks at the processes; whatever thread calls it, one at a time."""

    def __init__(self, root: Path, nucleus: Nucleus = "classic") -> None:
        self.root, self.nucleus = root, nucleus
        self.recording = Recording()
        self.meter = Meter()
        self.components: dict[str, ComponentStatus] = {}
        self._lock = threading.Lock()

    @property
    def journal(self) -> Path:
        return journal.directory(self.root)

    def __enter__(self) -> Self:
        self._claim = claim(self.root)
        try:
            clear(self.root)
            self.core: CoreClient = start(self.root, self.nucleus)
        except BaseException:
            self._claim.close()
            raise
        try:
            self.observer = self.watch()
        except BaseException:
            self.core.stop()
            self._claim.close()
            raise
        return self

    def watch(self) -> Observer:
        """A new observer that fills the same recording."""
        return Observer(self.core.observer, self.journal, self.recording)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the observer and the core; safe to call twice."""
        self.observer.close()
        try:
            self.core.stop()
        except ControlError as error:
            if error.code != "closed":
                raise
        finally:
            self.core.close()
            self._claim.close()

    def deploy(
        self, recipes: Path, artifacts: Path, components: Mapping[str, str], merge: Mapping[str, Mapping[str, Any]]
    ) -> str:
        """Queue a deployment; every configured component is listed as a root, as the classic nucleus wants it, and may
        act on what its configuration names."""
        roots = {**dict.fromkeys(merge, __version__), **components}
        return self.core.deploy(roots, granted(merge), recipe_dir=recipes, artifact_dir=artifacts)

    def poll(self, *, measure: bool = True) -> dict[str, ComponentStatus]:
        """The components as the core has them, and their memory and CPU as /proc has them."""
        with self._lock:
            self.components = {c.name: c for c in self.core.components()}
            if measure:
                at = time.monotonic()
                for name, status in self.components.items():
                    if status.pids or name in self.meter.usage:
                        self.meter.sample(name, status.pids, at)
                core = self.core.status()
                for name, key in ((CORE, "pid"), (BUS, "bus_pid")):
                    if core.get(key):
                        self.meter.sample(name, [int(core[key])], at, descendants=False)
            return self.components

    def installed(self) -> bool:
        """Whether the Runtime's environment is complete: its `run`, which stays, begins after its `install`."""
        runtime = self.components.get(RUNTIME)
        return runtime is not None and runtime.state in ("RUNNING", "FINISHED")

    def kill(self, component: str, signum: int = signal.SIGKILL) -> Intervention | None:
        """Kill the component's processes; None where it has none now. Finish with `recovered`."""
        status = self.core.component(component)
        if not status.pids:
            return None
        intervention = Intervention("kill", component, now())
        for pid in status.pids:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                continue
        self.recording.interventions.append(intervention)
        self.recording.say("kill", f"kill -9 {component} (pid {status.pids[0]})")
        return intervention

    def recovered(self, intervention: Intervention, at: int) -> None:
        """The component was at work again at `at`, ns UTC."""
        place = self.recording.interventions.index(intervention)
        self.recording.interventions[place] = replace(intervention, recovered=at)
        self.recording.say("kill", f"{intervention.component} is back after {(at - intervention.at) / 1e9:.1f} s")
