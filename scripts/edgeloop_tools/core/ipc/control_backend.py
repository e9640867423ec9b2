"""The supervisor, reached over its control socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from edgeloop_tools.core.control import ControlError, Peer, connect, methods

from .backend import (
    AccessControlChanged,
    BackendError,
    Configuration,
    ConfigurationChanged,
    Event,
    Identity,
    Json,
    Reason,
    TokenRevoked,
)

log = logging.getLogger("edgeloop.core.ipc")

REASONS: Mapping[str, Reason] = {reason: reason for reason in get_args(Reason)}

FaultHandler = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class ControlBackend:
    """A `Backend` over the control socket. `open` it before use.

    `on_fault` takes a fault of the supervisor and says what it did; an EdgeloopError it raises is the answer.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._peer: Peer | None = None
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self.on_fault: FaultHandler | None = None
        self.on_statistics: Callable[[], Mapping[str, Any]] | None = None
        self.nucleus = ""
        self._standing: list[tuple[str, Mapping[str, Any]]] = []

    async def open(self) -> None:
        """Connect and attach. EdgeloopError if the supervisor is not there."""
        handlers = {methods.FAULT: self._fault, "statistics": self._statistics}
        self._peer = await connect(self._path, handlers, self._event)
        attached = await self._call(methods.BUS_ATTACH, {})
        self.nucleus = str(attached.get("nucleus", ""))
        self._standing = [(str(one["kind"]), one.get("arguments", {})) for one in attached.get("faults", [])]

    def restore_faults(self) -> None:
        """Inject again what was in force before this process."""
        for kind, arguments in self._standing:
            if self.on_fault:
                self.on_fault(kind, arguments)

    async def close(self) -> None:
        if self._peer:
            await self._peer.close()

    async def authenticate(self, token: str) -> Identity | None:
        answer = await self._call(methods.AUTHENTICATE, {"token": token})
        if not answer:
            return None
        return Identity(str(answer["component"]), answer.get("access_control") or {}, bool(answer.get("unrestricted")))

    async def token_of(self, component: str, pid: int) -> str:
        return str(await self._call(methods.TOKEN_OF, {"component": component, "pid": pid}) or "")

    async def get_configuration(self, component: str, path: Sequence[str]) -> Configuration:
        answer = await self._call(methods.GET_CONFIGURATION, {"component": component, "path": list(path)})
        return Configuration(answer["value"], int(answer.get("timestamp", 0)))

    async def update_configuration(self, component: str, path: Sequence[str], value: Json, timestamp: int) -> None:
        await self._call(
            methods.UPDATE_CONFIGURATION,
            {"component": component, "path": list(path), "value": value, "timestamp": timestamp},
        )

    async def update_state(self, component: str, state: Literal["RUNNING", "ERRORED"]) -> None:
        await self._call(methods.UPDATE_STATE, {"component": component, "state": state})

    async def create_local_deployment(self, component: str, request: Mapping[str, Json]) -> str:
        answer = await self._call(methods.CREATE_LOCAL_DEPLOYMENT, {"component": component, "request": dict(request)})
        return str(answer["deployment"])

    async def restart_component(self, component: str, target: str) -> tuple[Literal["SUCCEEDED", "FAILED"], str]:
        answer = await self._call(methods.RESTART_COMPONENT, {"component": component, "target": target})
        return ("SUCCEEDED" if answer["outcome"] == "SUCCEEDED" else "FAILED"), str(answer.get("message", ""))

    async def validate_token(self, component: str, token: str) -> bool:
        return bool(await self._call(methods.VALIDATE_TOKEN, {"component": component, "token": token}))

    async def events(self) -> AsyncIterator[Event]:
        assert self._peer is not None
        gone = asyncio.create_task(self._peer.closed.wait())
        try:
            while True:
                following = asyncio.create_task(self._events.get())
                await asyncio.wait((following, gone), return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    return
                yield following.result()
        finally:
            gone.cancel()

    async def _call(self, method: str, params: Mapping[str, Any]) -> Any:
        assert self._peer is not None
        try:
            return await self._peer.call(method, params, timeout=30)
        except ControlError as error:
            raise BackendError(REASONS.get(error.code, "ServiceError"), str(error)) from error

    async def _fault(self, _: Peer, params: dict[str, Any]) -> Any:
        if self.on_fault is None:
            raise ControlError("the bus takes no faults yet")
        return dict(self.on_fault(str(params.get("kind", "")), params.get("arguments") or {}))

    async def _statistics(self, _: Peer, params: dict[str, Any]) -> Any:
        return dict(self.on_statistics()) if self.on_statistics else {}

    def _event(self, _: Peer, name: str, params: dict[str, Any]) -> None:
        event: Event
        if name == methods.CONFIGURATION_CHANGED:
            event = ConfigurationChanged(params["component"], tuple(tuple(path) for path in params["paths"]))
        elif name == methods.ACCESS_CONTROL_CHANGED:
            event = AccessControlChanged(params["component"], params["access_control"])
        elif name == methods.TOKEN_REVOKED:
            event = TokenRevoked(params["token"])
        else:
            return
        self._events.put_nowait(event)
