"""What the IPC server asks of the supervisor that owns components, tokens and configuration."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Reason = Literal[
    "ResourceNotFoundError",
    "InvalidArgumentsError",
    "ConflictError",
    "FailedUpdateConditionCheckError",
    "UnauthorizedError",
    "ComponentNotFoundError",
    "ServiceError",
]
"""Names of the modelled errors of the Greengrass IPC that a backend may answer with."""

Json = Any
"""A JSON value."""


class BackendError(Exception):
    """A refusal that the client of the operation is told, as the modelled error `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds a token. `access_control` is the component's `accessControl` map:
    service id → policy id → {operations: [...], resources: [...]}, recipe variables replaced. `unrestricted` is for
    observers of the tools."""

    component: str
    access_control: Mapping[str, Json] = field(default_factory=dict)
    unrestricted: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """A value read back, and when the newest part of it was set (ms since 1970)."""

    value: Json
    timestamp: int = 0


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """`paths`: the key paths of the changed leaves, removed ones included, below the component's configuration."""

    component: str
    paths: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class AccessControlChanged:
    """A deployment changed a component's policies: in force from now on, for open connections too."""

    component: str
    access_control: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A token ended (its component was removed or restarted with a new one): its connections close."""

    token: str


Event = ConfigurationChanged | AccessControlChanged | TokenRevoked


class Backend(Protocol):
    """All methods are called on the server's event loop; refusals are `BackendError`."""

    async def authenticate(self, token: str) -> Identity | None:
        """The holder of the token, or None."""

    async def token_of(self, component: str, pid: int) -> str:
        """The component's token, if the process is one of its own; else ""."""

    async def get_configuration(self, component: str, path: Sequence[str]) -> Configuration:
        """The value at `path` of a component's configuration (`()`: all of it). ResourceNotFoundError if absent."""

    async def update_configuration(self, component: str, path: Sequence[str], value: Json, timestamp: int) -> None:
        """Merge `value` at `path`; `timestamp` in ms since 1970. FailedUpdateConditionCheckError if older than what is
        there."""

    async def update_state(self, component: str, state: Literal["RUNNING", "ERRORED"]) -> None:
        """What a component says of itself."""

    async def create_local_deployment(self, component: str, request: Mapping[str, Json]) -> str:
        """The id of a deployment made from the members of a CreateLocalDeploymentRequest, as they came."""

    async def restart_component(self, component: str, target: str) -> tuple[Literal["SUCCEEDED", "FAILED"], str]:
        """Restart `target` on behalf of `component`: outcome and message."""

    async def validate_token(self, component: str, token: str) -> bool:
        """Whether the token belongs to a component."""

    def events(self) -> AsyncIterator[Event]:
        """What happens in the supervisor, from the call on; ends when the supervisor is gone."""


class MemoryBackend:
    """A backend that holds everything in memory, for tests and benchmarks."""

    def __init__(self) -> None:
        self.tokens: dict[str, Identity] = {}
        self.configuration: dict[str, dict[str, Json]] = {}
        self.states: list[tuple[str, str]] = []
        self.deployments: list[tuple[str, Mapping[str, Json]]] = []
        self.restarted: list[str] = []
        self._timestamps: dict[str, int] = {}
        self._watchers: list[asyncio.Queue[Event | None]] = []

    def add(
        self,
        component: str,
        access_control: Mapping[str, Json] | None = None,
        configuration: dict[str, Json] | None = None,
        *,
        unrestricted: bool = False,
    ) -> str:
        """A new token for a component."""
        token = secrets.token_urlsafe(12)
        self.tokens[token] = Identity(component, access_control or {}, unrestricted)
        self.configuration.setdefault(component, {}).update(configuration or {})
        return token

    def emit(self, event: Event | None) -> None:
        """Hand an event to the server; None ends the stream."""
        for queue in self._watchers:
            queue.put_nowait(event)

    async def authenticate(self, token: str) -> Identity | None:
        return self.tokens.get(token)

    async def token_of(self, component: str, pid: int) -> str:
        return ""

    async def get_configuration(self, component: str, path: Sequence[str]) -> Configuration:
        if component not in self.configuration:
            raise BackendError("ResourceNotFoundError", f"no component {component}")
        value: Json = self.configuration[component]
        for key in path:
            if not isinstance(value, dict) or key not in value:
                raise BackendError("ResourceNotFoundError", f"no configuration at {'.'.join(path)}")
            value = value[key]
        return Configuration(deepcopy(value), self._timestamps.get(component, 0))

    async def update_configuration(self, component: str, path: Sequence[str], value: Json, timestamp: int) -> None:
        if timestamp < self._timestamps.get(component, 0):
            raise BackendError("FailedUpdateConditionCheckError", "the configuration is newer than this update")
        for key in reversed(path):
            value = {key: value}
        if not isinstance(value, dict):
            raise BackendError("InvalidArgumentsError", "the root of a configuration is a map")
        changed: list[tuple[str, ...]] = []
        _merge(self.configuration.setdefault(component, {}), value, (), changed)
        self._timestamps[component] = timestamp or time.time_ns() // 1_000_000
        if changed:
            self.emit(ConfigurationChanged(component, tuple(changed)))

    async def update_state(self, component: str, state: Literal["RUNNING", "ERRORED"]) -> None:
        self.states.append((component, state))

    async def create_local_deployment(self, component: str, request: Mapping[str, Json]) -> str:
        self.deployments.append((component, request))
        return f"deployment-{len(self.deployments)}"

    async def restart_component(self, component: str, target: str) -> tuple[Literal["SUCCEEDED", "FAILED"], str]:
        if target not in self.configuration:
            raise BackendError("ComponentNotFoundError", f"no component {target}")
        self.restarted.append(target)
        return "SUCCEEDED", ""

    async def validate_token(self, component: str, token: str) -> bool:
        return token in self.tokens

    async def events(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._watchers.append(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watchers.remove(queue)


def _merge(
    target: dict[str, Json], value: dict[str, Json], path: tuple[str, ...], changed: list[tuple[str, ...]]
) -> None:
    for key, new in value.items():
        here = (*path, key)
        old = target.get(key)
        if isinstance(new, dict):
            if not isinstance(old, dict):
                old = target[key] = {}
                if not new:
                    changed.append(here)
            _merge(old, new, here, changed)
        elif key not in target or old != new:
            target[key] = new
            changed.append(here)
