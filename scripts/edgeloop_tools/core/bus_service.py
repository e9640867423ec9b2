"""What the supervisor answers the bus process (see control.methods)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.builtin import TOKEN_EXCHANGE
from edgeloop_tools.core.bus_process import BusProcess
from edgeloop_tools.core.configuration import ConfigurationStore, Path_, Stale
from edgeloop_tools.core.control import ControlError, Peer, methods
from edgeloop_tools.core.deployments import Deployments, Request
from edgeloop_tools.core.lifecycle import State
from edgeloop_tools.core.supervisor import Supervisor
from edgeloop_tools.core.token_exchange import TokenExchange
from edgeloop_tools.core.tokens import Tokens

log = logging.getLogger("edgeloop.core")

Answer = Callable[[Peer, dict[str, Any]], Awaitable[Any]]

ACCESS_CONTROL = "accessControl"
_PORT = {"classic": "activePort", "lite": "port"}


class BusService:
    def __init__(
        self,
        tokens: Tokens,
        configuration: ConfigurationStore,
        supervisor: Supervisor,
        deployments: Deployments,
        bus: BusProcess,
        token_exchange: TokenExchange,
    ) -> None:
        self._token_exchange = token_exchange
        self._tokens, self._configuration, self._supervisor = tokens, configuration, supervisor
        self._deployments, self._bus = deployments, bus
        self._answers: dict[str, Answer] = {
            methods.BUS_ATTACH: self._attach,
            methods.AUTHENTICATE: self._authenticate,
            methods.TOKEN_OF: self._token_of,
            methods.GET_CONFIGURATION: self._get_configuration,
            methods.UPDATE_CONFIGURATION: self._update_configuration,
            methods.UPDATE_STATE: self._update_state,
            methods.CREATE_LOCAL_DEPLOYMENT: self._create_local_deployment,
            methods.RESTART_COMPONENT: self._restart_component,
            methods.VALIDATE_TOKEN: self._validate_token,
        }
        self._tasks: set[asyncio.Task[None]] = set()

    async def answer(self, method: str, peer: Peer, params: dict[str, Any]) -> Any:
        """Raises EdgeloopError; a ControlError's code is the name of a modelled error of the IPC."""
        try:
            return await self._answers[method](peer, params)
        except KeyError as error:
            raise ControlError(f"{method} lacks a parameter", why=str(error), code="InvalidArgumentsError") from None

    def configured(self, changes: dict[str, list[Path_]]) -> None:
        """Tell the bus process what changed."""
        for component, paths in changes.items():
            self._bus.push(methods.CONFIGURATION_CHANGED, {"component": component, "paths": paths})
            if any(path[:1] == (ACCESS_CONTROL,) for path in paths):
                self._bus.push(
                    methods.ACCESS_CONTROL_CHANGED,
                    {"component": component, "access_control": self._access_control(component)},
                )

    async def _attach(self, peer: Peer, params: dict[str, Any]) -> Any:
        return {"nucleus": self._supervisor.nucleus, "faults": self._bus.attach(peer)}

    async def _authenticate(self, peer: Peer, params: dict[str, Any]) -> Any:
        holder = self._tokens.holder(str(params["token"]))
        if holder is None:
            return None
        return {
            "component": holder.component,
            "unrestricted": holder.unrestricted,
            "access_control": self._access_control(holder.component),
        }

    async def _token_of(self, peer: Peer, params: dict[str, Any]) -> Any:
        """As ggipcd does it: for a process of the component's own unit."""
        name = str(params["component"])
        service = self._supervisor.services.get(name)
        return self._tokens.of(name) if service and int(params["pid"]) in service.pids else ""

    async def _get_configuration(self, peer: Peer, params: dict[str, Any]) -> Any:
        component, path = str(params["component"]), [str(key) for key in params["path"]]
        if component == TOKEN_EXCHANGE and path in (["port"], ["activePort"]):
            return self._port(path[0])
        if component not in self._configuration.components():
            raise ControlError(f"no configuration of {component}", code="ResourceNotFoundError")
        try:
            value = self._configuration.get(component, path)
        except KeyError:
            raise ControlError(
                f"no configuration at {'.'.join(path)}", where=component, code="ResourceNotFoundError"
            ) from None
        return {"value": value, "timestamp": self._configuration.time(component, path)}

    def _port(self, key: str) -> dict[str, Any]:
        """Of token exchange, where it runs: as text on nucleus lite."""
        service, port = self._supervisor.services.get(TOKEN_EXCHANGE), self._token_exchange.port
        if service is None or service.state is not State.RUNNING or key != _PORT[self._supervisor.nucleus]:
            raise ControlError(f"no configuration at {key}", where=TOKEN_EXCHANGE, code="ResourceNotFoundError")
        return {"value": str(port) if key == "port" else port, "timestamp": 0}

    async def _update_configuration(self, peer: Peer, params: dict[str, Any]) -> Any:
        component, path = str(params["component"]), [str(key) for key in params["path"]]
        value, stamp = params["value"], int(params.get("timestamp") or 0) or None
        if not path and not isinstance(value, dict):
            raise ControlError("the root of a configuration is a map", code="InvalidArgumentsError")
        touched = path[:1] or list(value)
        if ACCESS_CONTROL in touched:
            raise ControlError("a component cannot change its accessControl", code="InvalidArgumentsError")
        try:
            changed = self._configuration.merge(component, value, path, stamp)
        except Stale as error:
            raise ControlError(
                "the configuration is newer than this update", where=str(error), code="FailedUpdateConditionCheckError"
            ) from None
        if changed:
            self.configured({component: changed})

    async def _update_state(self, peer: Peer, params: dict[str, Any]) -> Any:
        component = str(params["component"])
        if component in self._supervisor.services:
            self._supervisor.services[component].report(str(params["state"]))

    async def _create_local_deployment(self, peer: Peer, params: dict[str, Any]) -> Any:
        try:
            return {"deployment": self._deployments.create(Request.of_ipc(params["request"]))}
        except EdgeloopError as error:
            raise ControlError(
                error.what, where=error.where, why=error.why, mend=error.mend, code="InvalidArgumentsError"
            ) from None

    async def _restart_component(self, peer: Peer, params: dict[str, Any]) -> Any:
        target = str(params["target"])
        if target not in self._supervisor.services:
            raise ControlError(f"no component {target}", code="ComponentNotFoundError")
        task = asyncio.create_task(self._supervisor.restart(target))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {"outcome": "SUCCEEDED", "message": ""}

    async def _validate_token(self, peer: Peer, params: dict[str, Any]) -> Any:
        return self._tokens.holder(str(params["token"])) is not None

    def _access_control(self, component: str) -> dict[str, Any]:
        try:
            found = self._configuration.get(component, (ACCESS_CONTROL,))
        except KeyError:
            return {}
        return found if isinstance(found, dict) else {}
