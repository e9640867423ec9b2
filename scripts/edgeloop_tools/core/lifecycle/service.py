"""The life of one component: install, run, and run again."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from edgeloop_tools.core.lifecycle.groups import Groups
from edgeloop_tools.core.lifecycle.plan import Plan
from edgeloop_tools.core.lifecycle.states import LIMIT, READY, Failures, State
from edgeloop_tools.core.recipes import Step
from edgeloop_tools.core.recipes.model import StepName
from edgeloop_tools.core.user import Switch

INSTALL_TIMEOUT = 120.0
"""Seconds of a step that must end, where the recipe says nothing."""

LITE_DELAY = 1.0
"""Seconds before nucleus lite starts a failed component again (its unit's RestartSec)."""

_CLEAN = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE})
"""Deaths that systemd, and so nucleus lite, takes for a success."""

log = logging.getLogger("edgeloop.core")


class Host(Protocol):
    """What a service needs of its supervisor."""

    groups: Groups
    nucleus: str
    switch: Switch
    broken: Mapping[str, str]

    def state_of(self, name: str) -> State: ...
    def installing(self) -> bool: ...
    def environment(self, plan: Plan) -> dict[str, str]: ...
    def log_of(self, name: str) -> Path: ...
    def changed(self, service: Service, before: State) -> None: ...
    async def change(self) -> None: ...
    def pull(self, names: Iterable[str]) -> None: ...
    def limits(self, name: str, pid: int) -> None: ...


class Service:
    """`state`, `reason` and `restarts` are for reading; `start` and `stop` for the supervisor."""

    def __init__(self, plan: Plan, host: Host) -> None:
        self.plan = plan
        self.state = State.RUNNING if plan.builtin else State.NEW
        self.reason = host.broken.get(plan.name, "")
        if self.reason and plan.builtin:
            self.state = State.BROKEN
        self.restarts = 0
        self.installed = plan.builtin or "install" not in plan.steps
        self.bound_lost = False
        self._host = host
        self._failures: dict[str, Failures] = {}
        self._starts = Failures()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._lost = asyncio.Event()
        self._reported = asyncio.Event()
        self._reported_state = ""

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def pids(self) -> list[int]:
        """The living processes, the leader first."""
        process = self._process
        return self._host.groups.members(process.pid) if process and process.returncode is None else []

    @property
    def active(self) -> bool:
        """Whether it runs, or is on its way to."""
        return self._task is not None and not self._task.done()

    def start(self, *, install: bool = False) -> None:
        if self.plan.builtin or self.active:
            return
        self.bound_lost = False
        install = install or not self.installed
        self._to(State.NEW if install else State.INSTALLED)
        self._task = asyncio.create_task(self._life(install))

    async def stop(self) -> None:
        """Ends its processes; the state is FINISHED then."""
        task, self._task = self._task, None
        if task and not task.done():
            task.cancel()
            await asyncio.wait((task,))
        if not self.plan.builtin:
            self._to(State.FINISHED)

    def clear_failures(self) -> None:
        self._failures.clear()
        self._starts.clear()

    def pulled(self) -> None:
        """Lite: another unit that wants this one starts. One that has ended starts again, three times in the hour."""
        if self.state is not State.FINISHED or self.active or self.bound_lost or self.plan.builtin:
            return
        if self._starts.full():
            self._fail("run", "start-limit-hit: units that want it were started too often", breaks=True)
        else:
            self.start()

    def dependency_lost(self, name: str) -> None:
        """A HARD dependency is no longer there."""
        if self.state in (State.STARTING, State.RUNNING):
            self.reason = f"its dependency {name} is {self._host.state_of(name)}"
            self._lost.set()

    def report(self, state: str) -> None:
        """What the component says of itself (UpdateState)."""
        self._reported_state = state
        self._reported.set()

    async def _life(self, install: bool) -> None:
        try:
            if install and not await self._install():
                return
            while await self._wait_to_start():
                self._lost.clear()
                if not await self._run():
                    return
                self.restarts += 1
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            self._fail("run", f"cannot start: {where}{error.strerror or error}", breaks=True)
        except Exception as error:
            log.exception("%s: unexpected", self.name)
            self._fail("run", f"the core failed: {type(error).__name__}: {error}", breaks=True)

    async def _install(self) -> bool:
        step = self.plan.steps.get("install")
        while step and not self._skips(step):
            code = await self._finite("install", step)
            if code == 0:
                break
            if self._fail("install", self._why("install", code)):
                return False
            if self._lite:
                await asyncio.sleep(LITE_DELAY)
        self.installed = True
        self._to(State.INSTALLED)
        return True

    async def _wait_to_start(self) -> bool:
        """Returns False where nucleus lite would not start it: a HARD dependency is dead."""
        if self.state is not State.ERRORED:
            self._to(State.INSTALLED)
        while True:
            hard = {name: self._host.state_of(name) for name in self.plan.hard}
            if self._lite:
                soft = [self._host.state_of(name) for name in self.plan.soft]
                starting = (State.NEW, State.INSTALLED, State.STARTING)
                if not self._host.installing() and not any(state in starting for state in (*hard.values(), *soft)):
                    dead = [f"{name} is {state}" for name, state in hard.items() if state not in READY]
                    if dead:
                        self._unbind(", ".join(dead))
                    return not dead
            elif all(state in READY for state in hard.values()):
                return True
            await self._host.change()

    async def _run(self) -> bool:
        """Run once; whether to run again."""
        name: StepName = "startup" if "startup" in self.plan.steps else "run"
        step = self.plan.steps.get(name)
        self._reported.clear()
        if self._lite:
            self._host.pull((*self.plan.hard, *self.plan.soft))
        self._starts.add()
        self._to(State.STARTING)
        if step is None or self._skips(step):
            self._to(State.FINISHED)
            return False
        process = await self._spawn(step)
        try:
            if name == "run":
                self._to(State.RUNNING)
            code = await self._follow(process, name, step)
        except asyncio.CancelledError:
            await self._end(process)
            raise
        if code is None:
            await self._end(process)
            if self._lite:
                self._unbind(self.reason)
                return False
            self.reason = ""
            return True
        self._host.groups.ended(process)
        self._process = None
        if code == 0 or (self._lite and -code in _CLEAN):
            self.reason = ""
            if name == "startup":
                return await self._stay()
            self._to(State.FINISHED)
            return False
        why = f"{name} {self._reported_state.lower()}" if code == _REPORTED else self._why(name, code)
        if self._fail(name, why):
            return False
        await self._recover()
        if self._lite:
            await asyncio.sleep(LITE_DELAY)
        return True

    async def _stay(self) -> bool:
        """After a startup step that ended well: RUNNING without a process."""
        self._to(State.RUNNING)
        try:
            await self._lost.wait()
        finally:
            await self._end(None)
        if self._lite:
            self._unbind(self.reason)
        return not self._lite

    async def _follow(self, process: asyncio.subprocess.Process, name: StepName, step: Step) -> int | None:
        """The exit code; None where a dependency was lost, `_REPORTED` where the component said ERRORED."""
        limit = step.timeout if name == "run" else step.timeout or INSTALL_TIMEOUT
        end = None if limit is None or (name == "run" and self._lite) else asyncio.get_running_loop().time() + limit
        waits = {
            "exit": asyncio.create_task(process.wait()),
            "lost": asyncio.create_task(self._lost.wait()),
            "report": asyncio.create_task(self._reported.wait()),
        }
        try:
            if name == "run" and self._host.nucleus == "lite":
                self._check_bound()
            while True:
                rest = None if end is None else max(0.0, end - asyncio.get_running_loop().time())
                done, _ = await asyncio.wait(waits.values(), timeout=rest, return_when=asyncio.FIRST_COMPLETED)
                if waits["exit"] in done:
                    return waits["exit"].result()
                if waits["lost"] in done:
                    return None
                if waits["report"] in done:
                    self._reported.clear()
                    waits["report"] = asyncio.create_task(self._reported.wait())
                    if self._reported_state == State.RUNNING:
                        self._to(State.RUNNING)
                        end = None
                    elif not self._lite:
                        await self._host.groups.stop(process)
                        return _REPORTED
                if not done:
                    await self._host.groups.stop(process)
                    return _TIMED_OUT
        finally:
            for task in waits.values():
                task.cancel()

    def _check_bound(self) -> None:
        """systemd stops a unit at once that is bound to one that has ended."""
        for other in self.plan.hard:
            if self._host.state_of(other) is State.FINISHED:
                self.dependency_lost(other)

    async def _finite(self, name: StepName, step: Step) -> int:
        """Run a step that must end; its exit code."""
        process = await self._spawn(step)
        try:
            async with asyncio.timeout(step.timeout or INSTALL_TIMEOUT):
                code = await process.wait()
        except TimeoutError:
            await self._end(process)
            return _TIMED_OUT
        except asyncio.CancelledError:
            await self._end(process)
            raise
        self._host.groups.ended(process)
        self._process = None
        return code

    async def _spawn(self, step: Step) -> asyncio.subprocess.Process:
        environment = {**self._host.environment(self.plan), **self.plan.setenv, **step.setenv}
        switch: Switch = {} if self.plan.core else self._host.switch
        process = await self._host.groups.start(
            ["/bin/sh", "-c", step.script], self.plan.work, environment, self._host.log_of(self.name), switch,
            pipe=not self._lite and not self.plan.core,
        )
        self._host.limits(self.name, process.pid)
        self._process = process
        return process

    async def _end(self, process: asyncio.subprocess.Process | None) -> None:
        self._to(State.STOPPING)
        shutdown = self.plan.steps.get("shutdown")
        if shutdown and not self._skips(shutdown):
            self._process = None
            await self._finite("shutdown", Step(shutdown.script, shutdown.timeout or 15.0, shutdown.setenv))
        if process:
            await self._host.groups.stop(process)
        self._process = None

    async def _recover(self) -> None:
        recover = self.plan.steps.get("recover")
        if recover and not self._skips(recover):
            await self._finite("recover", recover)

    def _skips(self, step: Step) -> bool:
        if step.skip is None:
            return False
        if step.skip.kind == "exists":
            return Path(step.skip.argument).exists()
        return shutil.which(step.skip.argument, path=self._host.environment(self.plan)["PATH"]) is not None

    def _fail(self, step: StepName, why: str, *, breaks: bool = False) -> bool:
        """Count a failure; whether the component is BROKEN now."""
        broken = self._failures.setdefault(step, Failures()).add() or breaks
        self.reason = why
        self._to(State.BROKEN if broken else State.ERRORED)
        if broken:
            log.warning("%s is BROKEN (failure %s of %s in an hour): %s", self.name, LIMIT, LIMIT, why)
        return broken

    def _unbind(self, why: str) -> None:
        self.bound_lost = True
        self.reason = f"stopped with its dependency: {why}"
        self._to(State.FINISHED)

    def _why(self, step: StepName, code: int) -> str:
        if code == _TIMED_OUT:
            return f"{step} did not end in time"
        if code < 0:
            return f"{step} was killed by {_signal(-code)}"
        if code > 128:
            return f"{step} exited with {code} (its process was killed by {_signal(code - 128)})"
        end = f"{step} exited with {code}"
        last = last_line(self._host.log_of(self.name))
        return f"{end}: {last}" if last else end

    @property
    def _lite(self) -> bool:
        return self._host.nucleus == "lite"

    def _to(self, state: State) -> None:
        before, self.state = self.state, state
        if state in (State.STARTING, State.RUNNING):
            self.reason = ""
        if state is not before:
            log.info("%s: %s → %s%s", self.name, before, state, f" ({self.reason})" if self.reason else "")
            self._host.changed(self, before)


_TIMED_OUT = 1000
_REPORTED = 1001


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def last_line(path: Path, limit: int = 300) -> str:
    """The last line with text of a log; of lines of JSON the `message` of the last error, else of the last."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines: list[str] = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()][-8:]
    documents = [_document(line) for line in said]
    for document in reversed(documents):
        if document.get("level") == "error":
            return str(document.get("message"))[:limit]
    return str(documents[-1].get("message") or said[-1])[:limit] if said else ""


def _document(line: str) -> dict[str, Any]:
    """A line of a log as JSON; nothing where it is none."""
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
