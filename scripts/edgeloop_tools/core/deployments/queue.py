"""The queue of deployments and what is remembered of them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import files
from edgeloop_tools.core.configuration import ConfigurationStore
from edgeloop_tools.core.control import ControlError
from edgeloop_tools.core.deployments.request import Request
from edgeloop_tools.core.deployments.target import Target, prepare
from edgeloop_tools.core.interpolate import Names
from edgeloop_tools.core.lifecycle import READY, Plan, State
from edgeloop_tools.core.recipes import Version
from edgeloop_tools.core.store import ComponentStore
from edgeloop_tools.core.supervisor import Supervisor

log = logging.getLogger("edgeloop.core")

SETTLED = 0.5
"""Seconds for which all components must be well after it touched some, until a deployment has succeeded."""

KEPT = 50
"""Deployments that are remembered."""

OnConfiguration = Callable[[dict[str, list[tuple[str, ...]]]], None]


@dataclass(slots=True)
class Record:
    """A deployment's status, as `deployment status` shows it."""

    id: str
    status: str = "QUEUED"
    reason: str = ""
    created: float = field(default_factory=time.time)
    components: dict[str, str] = field(default_factory=dict)


class Deployments:
    """The truth about what is deployed is `deployments.json`: roots, versions, the last deployments. While one is under
    way the configuration before it is kept beside, for a start after a crash."""

    def __init__(
        self,
        root: Path,
        supervisor: Supervisor,
        store: ComponentStore,
        configuration: ConfigurationStore,
        names: Names,
        on_configuration: OnConfiguration,
        settled: float = SETTLED,
        poll: float = 0.0,
    ) -> None:
        self._supervisor, self._store, self._configuration = supervisor, store, configuration
        self._names, self._on_configuration = names, on_configuration
        self._work = root / "work"
        self._path = root / "config" / "deployments.json"
        self._before = root / "config" / "configuration.before.json"
        self.roots: dict[str, str] = {}
        self.versions: dict[str, Version] = {}
        self.records: dict[str, Record] = {}
        self._queue: asyncio.Queue[tuple[Record, Request]] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pending = False
        self._settled, self._poll = settled, poll
        self._resumed = False

    @classmethod
    def undo_interrupted(cls, root: Path) -> None:
        """Before the configuration is read: put back what a deployment had changed that a crash interrupted."""
        before, state = root / "config" / "configuration.before.json", root / "config" / "deployments.json"
        try:
            pending = state.exists() and json.loads(state.read_bytes()).get("pending")
        except (OSError, ValueError, AttributeError):
            return
        if pending and before.exists():
            before.replace(root / "config" / "configuration.json")
            log.warning("the core ended during a deployment; its configuration is undone")
        before.unlink(missing_ok=True)

    def load(self) -> None:
        if not self._path.exists():
            return
        try:
            saved = json.loads(self._path.read_bytes())
            self.roots = dict(saved["roots"])
            self.versions = {name: Version.parse(text) for name, text in saved["versions"].items()}
            self.records = {entry["id"]: Record(**entry) for entry in saved["records"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EdgeloopError(
                "cannot read the last deployment",
                where=str(self._path),
                why=str(error),
                mend="delete the file and deploy again",
            ) from None
        for record in self.records.values():
            if record.status in ("QUEUED", "IN_PROGRESS"):
                record.status, record.reason = "FAILED", "the core ended before the deployment did"

    async def resume(self) -> None:
        """Run what was deployed last. What cannot run is left out, with a line; then take deployments."""
        roots = dict(self.roots)
        while True:
            try:
                target = self._prepare(Request(), roots)
                break
            except EdgeloopError as error:
                log.error("cannot resume: %s", error)
                if not roots:
                    raise
                broken = next((name for name in roots if not self._sound(name)), next(iter(roots)))
                log.error("%s is left out", broken)
                del roots[broken]
        self._on_configuration(self._configuration.adopt(target.configuration))
        await self._supervisor.apply(target.plans, installed=self._lite)
        self._resumed = bool(target.plans)
        self._task = asyncio.create_task(self._work_off())

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def create(self, request: Request) -> str:
        """Judge and queue a deployment; while another is under way it is judged when its turn comes. Raises
        EdgeloopError, and then nothing has changed."""
        if all(record.status not in ("QUEUED", "IN_PROGRESS") for record in self.records.values()):
            self._prepare(request, self.roots)
        record = Record(str(uuid.uuid4()))
        self.records[record.id] = record
        self._save()
        self._queue.put_nowait((record, request))
        return record.id

    async def wait(self, id_: str, timeout: float) -> Record:
        """The record once the deployment has ended, or as it is after `timeout` seconds."""
        record = self.record(id_)
        try:
            async with asyncio.timeout(timeout):
                while record.status in ("QUEUED", "IN_PROGRESS"):
                    await self._ended.wait()
        except TimeoutError:
            log.debug("deployment %s goes on", id_)
        return record

    def record(self, id_: str) -> Record:
        if id_ not in self.records:
            raise ControlError(f"no deployment {id_}", mend="`edgeloop deployment list` shows them", code="not_found")
        return self.records[id_]

    def _sound(self, name: str) -> bool:
        try:
            self._prepare(Request(), {name: self.roots[name]})
        except EdgeloopError:
            return False
        return True

    def _prepare(self, request: Request, roots: Mapping[str, str]) -> Target:
        return prepare(request, roots, self.versions, self._store, self._configuration, self._names, self._work)

    async def _work_off(self) -> None:
        while True:
            record, request = await self._queue.get()
            if self._poll:
                await asyncio.sleep(self._poll - time.monotonic() % self._poll)
            record.status = "IN_PROGRESS"
            log.info("deployment %s begins", record.id)
            try:
                await self._carry_out(record, request)
            except EdgeloopError as error:
                record.reason = str(error)
            except OSError as error:
                record.reason = f"{error.filename or self._path.parent}: {error.strerror or error}"
            except Exception as error:
                log.exception("deployment %s failed unexpectedly", record.id)
                record.reason = f"unexpected {type(error).__name__}: {error}"
            if record.status != "SUCCEEDED":
                record.status = "FAILED"
            log.info("deployment %s: %s%s", record.id, record.status, f" ({record.reason})" if record.reason else "")
            try:
                self._save()
            except EdgeloopError as error:
                log.error("%s", error)
            self._ended.set()
            self._ended = asyncio.Event()

    async def _carry_out(self, record: Record, request: Request) -> None:
        target = self._prepare(request, self.roots)
        before = self._configuration.draft()
        plans = {name: service.plan for name, service in self._supervisor.services.items()}
        record.reason = "; ".join([*target.notes, *await self._take(target)])
        files.write(self._before, self._configuration.dump(), 0o600)
        self._pending = True
        self._save()
        self._on_configuration(self._configuration.adopt(target.configuration))
        touched = await self._supervisor.apply(target.plans, self._installed_with_a_limit(plans))
        patient = request.failure == "DO_NOTHING" or self._lite
        failed = await self._settle(target.plans, self._settled if touched else 0.0, patient=patient)
        record.components = failed
        if failed:
            record.reason = "; ".join(f"{name}: {why}" for name, why in failed.items())
            if request.failure == "ROLLBACK" and not self._lite:
                await self._roll_back(before, plans)
                record.reason += "; rolled back"
                return
        else:
            record.status = "SUCCEEDED"
        self.roots = target.roots
        self.versions = {name: recipe.version for name, recipe in target.recipes.items()}
        self._pending = False
        self._save()

    def _installed_with_a_limit(self, plans: Mapping[str, Plan]) -> set[str]:
        """A classic nucleus that was started again finds a numeric Timeout changed, and so the component."""
        again, self._resumed = self._resumed and not self._lite, False
        steps = {name: plan.steps.get("install") for name, plan in plans.items()}
        return {name for name, step in steps.items() if again and step is not None and step.timeout}

    async def _take(self, target: Target) -> list[str]:
        """Hold recipes and artifacts; says what a nucleus would not start again though it changed."""
        notes = []
        for name, recipe in target.recipes.items():
            changed = await asyncio.to_thread(self._store.take, recipe, target.source)
            running = self._supervisor.services.get(name)
            if changed and running and running.plan.same_process(target.plans[name]):
                notes.append(
                    f"an artifact of {name} {recipe.version} changed, but the version did not: it goes on as it "
                    "was until its next start"
                )
        return notes

    async def _settle(self, plans: Mapping[str, Plan], seconds: float, *, patient: bool) -> dict[str, str]:
        """Wait until all components are well; else name → reason of those that are not. `patient`: let the others get
        well first."""
        while True:
            services = {name: self._supervisor.services[name] for name in plans}
            broken = {name: service.reason for name, service in services.items() if service.state is State.BROKEN}
            waiting = {name for name, service in services.items() if service.state not in READY}
            blocked = self._blocked(set(broken), plans)
            if broken and (not patient or waiting <= blocked):
                return broken
            if not waiting:
                try:
                    async with asyncio.timeout(seconds):
                        await self._supervisor.change()
                except TimeoutError:
                    return {}
            else:
                await self._supervisor.change()

    def _blocked(self, broken: set[str], plans: Mapping[str, Plan]) -> set[str]:
        """The broken and all that wait for them."""
        while more := {name for name, plan in plans.items() if plan.hard & broken} - broken:
            broken |= more
        return broken

    async def _roll_back(self, before: ConfigurationStore, plans: Mapping[str, Plan]) -> None:
        log.warning("rolling back")
        self._on_configuration(self._configuration.adopt(before))
        self._pending = False
        await self._supervisor.apply(plans)
        try:
            async with asyncio.timeout(120):
                await self._settle(plans, self._settled, patient=True)
        except TimeoutError:
            log.error("not all components are well after the rollback")

    def _save(self) -> None:
        recent = sorted(self.records.values(), key=lambda record: record.created)[-KEPT:]
        self.records = {record.id: record for record in recent}
        saved: dict[str, Any] = {
            "pending": self._pending,
            "roots": self.roots,
            "versions": {name: str(version) for name, version in self.versions.items()},
            "records": [asdict(record) for record in recent],
        }
        try:
            files.write(self._path, json.dumps(saved, indent=1).encode(), 0o600)
        except OSError as error:
            raise EdgeloopError(
                "cannot write down the deployment", where=str(self._path), why=error.strerror or str(error)
            ) from None

    @property
    def _lite(self) -> bool:
        return self._supervisor.nucleus == "lite"
