"""The core put together, and what it answers on its control socket."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import builtin, faults
from edgeloop_tools.core.bus_process import BusProcess
from edgeloop_tools.core.bus_service import BusService
from edgeloop_tools.core.configuration import ConfigurationStore, Path_
from edgeloop_tools.core.control import ControlServer, Handler, Peer, methods
from edgeloop_tools.core.control.server import check_length
from edgeloop_tools.core.deployments import SETTLED, Deployments, Request
from edgeloop_tools.core.endpoint import LocalEndpoint
from edgeloop_tools.core.environment import Environment
from edgeloop_tools.core.interpolate import Names
from edgeloop_tools.core.lifecycle import Groups, Service, State
from edgeloop_tools.core.ports import free_port
from edgeloop_tools.core.store import ComponentStore
from edgeloop_tools.core.supervisor import Supervisor
from edgeloop_tools.core.token_exchange import TokenExchange
from edgeloop_tools.core.tokens import Tokens
from edgeloop_tools.core.user import ComponentUser

log = logging.getLogger("edgeloop.core")

_HOUSEKEEPING = 30.0
"""Seconds between looks at the size of logs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """resume: run what was deployed last; else forget it (work folders stay). bus: False for tests without one."""

    root: Path
    nucleus: str = "classic"
    component_user: str | None = None
    thing_name: str = "edgeloop-core"
    region: str = "us-east-1"
    token_exchange_port: int = 0
    stream_manager_port: int = 0
    settled: float = SETTLED
    poll: float = 0.0
    token_exchange: str = "ready"
    resume: bool = True
    bus: bool = True
    debug: bool = False


class Nucleus:
    """`run` returns when the core was told to stop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        root = self.root = settings.root
        self.stop_requested = asyncio.Event()
        self._answered = asyncio.Event()
        check_length(root / "control.sock")
        user = ComponentUser.find(settings.component_user)
        make_root(root)
        user.check_reaches(root)
        self._control = ControlServer(root / "control.sock", self._handlers(), on_close=self._on_close)
        self._user = user
        self._tokens = Tokens()
        self._groups = Groups(root / "config" / "groups.json")
        self._token_exchange = TokenExchange(self._tokens)
        self._own_port = settings.stream_manager_port or free_port()
        given = os.environ.get("EDGELOOP_ENDPOINT_URL", "")
        self._endpoint = None if given else LocalEndpoint(root, self._groups)
        self._endpoint_url = self._endpoint.url if self._endpoint else given

    async def run(self, ready: asyncio.Event) -> None:
        """Raises EdgeloopError where the core cannot start. `ready` is set once it takes requests."""
        settings, root = self.settings, self.root
        await self._control.start()
        try:
            self._clean()
            self._assemble()
            await self._token_exchange.start(settings.token_exchange_port)
            if settings.token_exchange == "ready":
                self._environment.credentials_uri = self._token_exchange.uri
            if settings.bus:
                self._bus.start()
                await self._bus.ready(30)
            await self._deployments.resume()
            log.info("core %s (%s) at %s, components run as %s", __version__, settings.nucleus, root, self._user.name)
            ready.set()
            housekeeping = asyncio.create_task(self._keep_house())
            await self.stop_requested.wait()
            housekeeping.cancel()
        finally:
            await self._shut_down()

    def _clean(self) -> None:
        for group in self._groups.clean():
            log.warning("killed the process group %s of an earlier core", group)
        faults.clean(self.root)
        (self.root / "ipc.socket").unlink(missing_ok=True)
        Deployments.undo_interrupted(self.root)
        if not self.settings.resume:
            for name in ("deployments.json", "configuration.json"):
                (self.root / "config" / name).unlink(missing_ok=True)
            shutil.rmtree(self.root / "packages", ignore_errors=True)

    def _assemble(self) -> None:
        settings, root, nucleus = self.settings, self.root, self.settings.nucleus
        self._environment = Environment(
            root,
            nucleus,
            self._user,
            self._user.python(),
            self._tokens,
            root / "ipc.socket",
            settings.thing_name,
            settings.region,
        )
        self._environment.prepare()
        self._environment.stream_manager_port = self._stream_manager_port
        create = {"EDGELOOP_ENDPOINT_CREATE": "1"} if self._endpoint else {}
        self._environment.endpoint = {"EDGELOOP_ENDPOINT_URL": self._endpoint_url, **create}
        self._supervisor = Supervisor(root, nucleus, self._user, self._groups, self._environment)
        if settings.token_exchange == "broken":
            self._supervisor.broken = {builtin.TOKEN_EXCHANGE: "there is no role alias (iotRoleAlias)"}
        self._supervisor.on_state.append(self._on_state)
        self._configuration = ConfigurationStore(root / "config" / "configuration.json")
        names = Names(root, settings.thing_name, nucleus)
        absent = {builtin.TOKEN_EXCHANGE} if settings.token_exchange == "absent" else set()
        store = ComponentStore(root, nucleus, self._user, frozenset(absent))
        self._deployments = Deployments(
            root, self._supervisor, store, self._configuration, names, self._configured, settings.settled, settings.poll
        )
        self._deployments.load()
        self._bus = BusProcess(root, nucleus, self._groups, self._bus_lost, debug=settings.debug)
        self._service = BusService(
            self._tokens, self._configuration, self._supervisor, self._deployments, self._bus, self._token_exchange
        )
        self._faults = faults.Faults(self._supervisor, self._bus, self._token_exchange)

    async def _shut_down(self) -> None:
        if hasattr(self, "_faults"):
            await self._deployments.close()
            await self._supervisor.stop_all()
            await self._faults.close()
            await self._bus.close()
        if self._endpoint:
            await self._endpoint.close()
        await self._token_exchange.close()
        self._groups.close()
        await self._control.close()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING)
            if not self._control.path.exists():
                log.error("the core's folder is gone: it stops")
                self.stop_requested.set()
                return
            try:
                self._supervisor.rotate_logs()
            except OSError as error:
                log.warning("cannot shorten a log (%s): %s", error.filename, error.strerror)

    def _configured(self, changes: dict[str, list[Path_]]) -> None:
        self._service.configured(changes)

    def _bus_lost(self) -> None:
        if self.settings.nucleus == "lite":
            self._tokens.revoke_all()

    def _on_close(self, peer: Peer) -> None:
        if hasattr(self, "_bus") and self._bus.peer is peer:
            self._bus.peer = None

    def _on_state(self, service: Service, before: State) -> None:
        if self._endpoint and service.name == builtin.STREAM_MANAGER and service.state is State.STARTING:
            self._endpoint.start()

    def _stream_manager_port(self) -> int:
        """As the component is configured, else the core's own choice."""
        configured = ""
        if builtin.STREAM_MANAGER in self._configuration.components():
            configured = str(self._configuration.get(builtin.STREAM_MANAGER, ()).get(builtin.PORT_KEY) or "")
        return int(configured) if configured.isdecimal() else self._own_port

    # control

    def _handlers(self) -> dict[str, Handler]:
        own: dict[str, Handler] = {
            "status": self._status,
            "stop": self._stop,
            "observer": self._observer,
            "fault": self._fault,
            "component.list": self._component_list,
            "component.wait": self._component_wait,
            "component.restart": self._component_restart,
            "component.stop": self._component_stop,
            "component.clear_restarts": self._component_clear_restarts,
            "deployment.create": self._deployment_create,
            "deployment.wait": self._deployment_wait,
            "deployment.list": self._deployment_list,
        }
        for method in (
            methods.BUS_ATTACH,
            methods.AUTHENTICATE,
            methods.TOKEN_OF,
            methods.GET_CONFIGURATION,
            methods.UPDATE_CONFIGURATION,
            methods.UPDATE_STATE,
            methods.CREATE_LOCAL_DEPLOYMENT,
            methods.RESTART_COMPONENT,
            methods.VALIDATE_TOKEN,
        ):
            own[method] = self._for_bus(method)
        own[methods.STREAM_MANAGER_ATTACH] = self._stream_manager_attach
        return own

    def _for_bus(self, method: str) -> Handler:
        async def answer(peer: Peer, params: dict[str, Any]) -> Any:
            return await self._service.answer(method, peer, params)

        return answer

    async def _status(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {
            "root": str(self.root),
            "nucleus": self.settings.nucleus,
            "version": __version__,
            "pid": os.getpid(),
            "bus_pid": self._bus.pid,
            "bus_restarts": self._bus.restarts,
            "user": self._user.name,
            "socket": str(self._bus.socket),
            "thing_name": self.settings.thing_name,
            "region": self.settings.region,
            "credentials": self._token_exchange.uri,
            "stream_manager_port": self._stream_manager_port(),
            "endpoint": self._endpoint_url,
        }

    async def _stream_manager_attach(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {"faults": self._faults.attach_stream_manager(peer)}

    async def _stop(self, peer: Peer, params: dict[str, Any]) -> Any:
        self.stop_requested.set()

    async def _observer(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {"socket": str(self._bus.socket), "token": self._tokens.observer()}

    async def _fault(self, peer: Peer, params: dict[str, Any]) -> Any:
        return await self._faults.inject(str(params.get("kind", "")), params.get("arguments") or {})

    async def _component_list(self, peer: Peer, params: dict[str, Any]) -> Any:
        return [self._describe(service) for _, service in sorted(self._supervisor.services.items())] + [
            self._describe_builtin(name)
            for name in builtin.ALWAYS[self.settings.nucleus]
            if name not in self._supervisor.services
        ]

    async def _component_wait(self, peer: Peer, params: dict[str, Any]) -> Any:
        await self._supervisor.wait([params["name"]], params["states"], float(params["timeout"]))

    async def _component_restart(self, peer: Peer, params: dict[str, Any]) -> Any:
        await self._supervisor.restart(str(params.get("name")))

    async def _component_stop(self, peer: Peer, params: dict[str, Any]) -> Any:
        await self._supervisor.stop(str(params.get("name")))

    async def _component_clear_restarts(self, peer: Peer, params: dict[str, Any]) -> Any:
        for service in self._supervisor.services.values():
            service.clear_failures()

    async def _deployment_create(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {"id": self._deployments.create(Request.of(params))}

    async def _deployment_wait(self, peer: Peer, params: dict[str, Any]) -> Any:
        return asdict(await self._deployments.wait(str(params.get("id")), float(params.get("timeout", 0))))

    async def _deployment_list(self, peer: Peer, params: dict[str, Any]) -> Any:
        records = sorted(self._deployments.records.values(), key=lambda record: -record.created)
        return [asdict(record) for record in records]

    def _describe(self, service: Service) -> dict[str, Any]:
        name = service.name
        configuration = self._configuration.get(name, ()) if name in self._configuration.components() else {}
        return {
            "name": name,
            "version": str(service.plan.version),
            "state": str(service.state),
            "pids": service.pids,
            "restarts": service.restarts,
            "reason": service.reason,
            "root": name in self._deployments.roots,
            "configuration": configuration,
        }

    def _describe_builtin(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "version": str(builtin.RECIPES[name].version),
            "state": "RUNNING",
            "pids": [],
            "restarts": 0,
            "reason": "",
            "root": False,
            "configuration": {},
        }


def make_root(root: Path) -> None:
    """The folders of a core. Raises EdgeloopError."""
    try:
        for folder in (root, *(root / name for name in ("config", "work", "logs", "packages"))):
            folder.mkdir(parents=True, exist_ok=True)
        os.chmod(root, 0o755)
        os.chmod(root / "config", 0o700)
    except OSError as error:
        raise EdgeloopError(
            "cannot make the core's folder",
            where=str(error.filename or root),
            why=error.strerror or str(error),
            mend="choose another --root",
        ) from None
