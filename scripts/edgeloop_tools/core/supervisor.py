"""All services of a core, and what they do to each other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import builtin
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.environment import Environment
from edgeloop_tools.core.lifecycle import READY, Groups, Plan, Service, State
from edgeloop_tools.core.user import ComponentUser, Switch

log = logging.getLogger("edgeloop.core")

LOG_LIMIT = 16 * 1024 * 1024
"""Bytes of a component's log; what is older goes to `.1`."""

OnState = Callable[[Service, State], None]


class Supervisor:
    """Implements lifecycle.service.Host."""

    def __init__(self, root: Path, nucleus: str, user: ComponentUser, groups: Groups, environment: Environment) -> None:
        self.root, self.nucleus, self.user = root, nucleus, user
        self.groups = groups
        self.switch: Switch = user.switch
        self.services: dict[str, Service] = {}
        self.file_limits: dict[str, int] = {}
        self.broken: Mapping[str, str] = {}
        self.on_state: list[OnState] = []
        self._environment = environment
        self._change = asyncio.Event()
        self._stopping = False
        for name in ("work", "logs"):
            (root / name).mkdir(exist_ok=True)

    # what a service asks

    def state_of(self, name: str) -> State:
        service = self.services.get(name)
        return service.state if service else State.RUNNING

    def installing(self) -> bool:
        return any(
            service.active and service.state in (State.NEW, State.ERRORED) and not service.installed
            for service in self.services.values()
        )

    def environment(self, plan: Plan) -> dict[str, str]:
        found = self._environment.of(plan)
        if self.nucleus == "classic" and builtin.TOKEN_EXCHANGE not in self.services:
            for name in ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
                found.pop(name, None)
        return found

    def log_of(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    async def change(self) -> None:
        """Returns when a state changed after the call."""
        await self._change.wait()

    def pull(self, names: Iterable[str]) -> None:
        """What systemd does for `Wants` and `BindsTo` of a unit that starts: those that have ended start again."""
        for name in names:
            if name in self.services:
                self.services[name].pulled()

    def limits(self, name: str, pid: int) -> None:
        if limit := self.file_limits.get(name):
            limit_files(pid, limit)

    def changed(self, service: Service, before: State) -> None:
        lost = self._lost_by(service.state)
        if lost and not self._stopping:
            for other in self.dependants(service.name):
                other.dependency_lost(service.name)
        self.pulse()
        for listener in self.on_state:
            listener(service, before)

    # what the core does

    def pulse(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    def service(self, name: str) -> Service:
        if name not in self.services:
            raise ControlError(
                f"no component {name}", mend="`edgeloop component list` shows what there is", code="not_found"
            )
        return self.services[name]

    def dependants(self, name: str) -> list[Service]:
        """Those that depend HARD on a component, directly."""
        return [service for service in self.services.values() if name in service.plan.hard]

    async def apply(self, plans: Mapping[str, Plan], again: Iterable[str] = (), *, installed: bool = False) -> set[str]:
        """Run these plans and nothing else; returns those that it started. Processes whose plan stays the same go on,
        but those in `again` are installed and started again. `installed`: an earlier core installed what is new here.
        """
        again = set(again)
        gone = [name for name in self.services if name not in plans]
        fresh = {name for name, plan in plans.items() if name not in self.services}
        moved = {name for name in plans.keys() - fresh if not self.services[name].plan.same_process(plans[name])}
        stop = {*gone, *moved, *(again & (plans.keys() - fresh))}
        if self.nucleus == "lite":
            stop |= {other.name for name in list(stop) for other in self._closure(name)}
        await asyncio.gather(*(self.services[name].stop() for name in stop))
        for name in gone:
            del self.services[name]
        for name, plan in plans.items():
            self.make_work(plan)
            if name in fresh or name in moved:
                self.services[name] = Service(plan, self)
                self.services[name].installed |= installed
            else:
                self.services[name].plan = plan
        touched = set()
        for name in plans:
            service = self.services[name]
            if name in fresh or name in moved or name in again or self._dead(service):
                service.clear_failures()
                service.start(install=name in again or service.state is State.BROKEN)
                touched.add(name)
            elif self.nucleus == "lite" and not service.active:
                service.clear_failures()
                service.start()
                touched.add(name)
        self.pulse()
        return touched

    async def restart(self, name: str) -> None:
        """Stop and start a component; HARD dependants of lite come along."""
        service = self.service(name)
        if service.state is State.BROKEN and self.nucleus == "classic":
            log.warning("%s is BROKEN: a restart does nothing, a deployment does", name)
            return
        bound = [other for other in self._closure(name) if other.active] if self.nucleus == "lite" else []
        for other in (*bound, service):
            await other.stop()
        for other in (service, *bound):
            other.start()

    async def stop(self, name: str) -> None:
        """Stop a component and those that depend HARD on it."""
        service = self.service(name)
        for other in self._closure(name):
            await other.stop()
        await service.stop()

    async def stop_all(self) -> None:
        """Dependants before their dependencies."""
        self._stopping = True
        left = dict(self.services)
        while left:
            needed = {other for service in left.values() for other in service.plan.hard}
            ends = [name for name in left if name not in needed] or list(left)
            await asyncio.gather(*(left.pop(name).stop() for name in ends))

    async def wait(self, names: Iterable[str], states: Iterable[str], timeout: float) -> None:
        wanted, names = set(states), list(names)
        try:
            async with asyncio.timeout(timeout):
                while not all(self.service(name).state in wanted for name in names):
                    await self.change()
        except TimeoutError:
            late = [
                f"{name} is {self.state_of(name)} {self.services[name].reason}".strip()
                for name in names
                if self.state_of(name) not in wanted
            ]
            raise ControlError(
                f"not {' or '.join(sorted(wanted))} within {timeout:g} s", why="; ".join(late), code="timeout"
            ) from None

    def make_work(self, plan: Plan) -> None:
        if plan.builtin:
            return
        try:
            plan.work.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(plan.work, 0o700)
            if self.user.owner:
                own(plan.work, self.user.owner)
        except OSError as error:
            raise EdgeloopError(
                "cannot make a work folder", where=str(plan.work), why=error.strerror or str(error)
            ) from None

    def rotate_logs(self) -> None:
        """Keep logs below their limit: the file stays, because processes append to it."""
        for name in self.services:
            path = self.log_of(name)
            if path.exists() and path.stat().st_size > LOG_LIMIT:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)

    def _closure(self, name: str) -> list[Service]:
        """All HARD dependants, the farthest first."""
        found: dict[str, Service] = {}
        queue = [name]
        while queue:
            for other in self.dependants(queue.pop()):
                found.pop(other.name, None)
                found[other.name] = other
                queue.append(other.name)
        return list(reversed(found.values()))

    def _dead(self, service: Service) -> bool:
        return service.state is State.BROKEN or service.bound_lost

    def _lost_by(self, state: State) -> bool:
        if self.nucleus == "lite":
            return state not in (State.STARTING, State.RUNNING)
        return state not in READY


def limit_files(pid: int, size: int) -> None:
    """Let a process write files up to `size` bytes (its soft limit)."""
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        allowed = hard if size == resource.RLIM_INFINITY or 0 <= hard < size else size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (allowed, hard))


def own(folder: Path, owner: tuple[int, int]) -> None:
    """Give a work folder to the component user; its content too where it belonged to somebody else."""
    if folder.stat().st_uid == owner[0]:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *owner, follow_symlinks=False)
