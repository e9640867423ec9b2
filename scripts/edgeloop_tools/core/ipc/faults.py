"""Faults on request: what a bus can do to components, so that tests see what they make of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from .server import Server


class _OfComponent(msgspec.Struct, forbid_unknown_fields=True):
    component: str


class _DropStream(msgspec.Struct, forbid_unknown_fields=True):
    component: str
    topic: str | None = None
    silent: bool = False


class _Hang(msgspec.Struct, forbid_unknown_fields=True):
    component: str
    on: bool = True


class _Offline(msgspec.Struct, forbid_unknown_fields=True):
    offline: bool = True


class _Publish(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    payload: str = ""
    retain: bool = False


class _Delay(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float
    component: str | None = None


class _Clear(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Faults:
    """The faults in force. Kinds and their arguments:

    `drop_stream` component, topic (filter; default: all), silent (the client is not told: default false);
    `drop_connections` component; `hang_subscriber` component, on (default true): nothing is sent to it;
    `iot_offline` offline (default true); `delay` seconds (0 lifts it), component (default: all): of all that is sent;
    `iot_publish` topic, payload (text), retain (default false): no fault, but what another client of IoT Core does;
    `clear`: lift everything.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._hung: set[str] = set()
        self._delays: dict[str | None, float] = {}

    def delay(self, component: str) -> float:
        """Seconds."""
        return self._delays.get(component, self._delays.get(None, 0.0)) if self._delays else 0.0

    def is_hung(self, component: str) -> bool:
        return component in self._hung

    def apply(self, kind: str, arguments: Mapping[str, Any]) -> dict[str, int]:
        """Inject or lift a fault; how many streams or connections it touched. EdgeloopError for an unknown kind or
        argument."""
        try:
            match kind:
                case "drop_stream":
                    return self._drop_stream(msgspec.convert(arguments, _DropStream, strict=False))
                case "drop_connections":
                    return self._drop_connections(msgspec.convert(arguments, _OfComponent, strict=False).component)
                case "hang_subscriber":
                    return self._hang(msgspec.convert(arguments, _Hang, strict=False))
                case "iot_offline":
                    self._server.operations.set_offline(msgspec.convert(arguments, _Offline, strict=False).offline)
                    return {}
                case "iot_publish":
                    said = msgspec.convert(arguments, _Publish)
                    self._server.operations.publish_from_cloud(said.topic, said.payload.encode(), retain=said.retain)
                    return {}
                case "delay":
                    delay = msgspec.convert(arguments, _Delay, strict=False)
                    if not 0 <= delay.seconds <= 60:
                        raise EdgeloopError("invalid fault", where=kind, why="seconds are 0 to 60")
                    self._delays[delay.component] = delay.seconds
                    return {}
                case "clear":
                    msgspec.convert(arguments, _Clear)
                    return self._clear()
                case _:
                    raise EdgeloopError(
                        "unknown fault",
                        where=kind,
                        mend="drop_stream, drop_connections, hang_subscriber, iot_offline, iot_publish, delay or clear",
                    )
        except msgspec.ValidationError as error:
            raise EdgeloopError("invalid fault", where=kind, why=str(error)) from None

    def _drop_stream(self, fault: _DropStream) -> dict[str, int]:
        topics = self._server.operations.topics
        found = [one for hub in topics for one in hub.of(fault.component, fault.topic)]
        for one in found:
            if fault.silent:
                for hub in topics:
                    hub.unsubscribe(one)
            else:
                one.connection.end_stream(one.stream)
        return {"streams": len(found)}

    def _drop_connections(self, component: str) -> dict[str, int]:
        found = self._server.of(component)
        for one in found:
            one.abort()
        return {"connections": len(found)}

    def _hang(self, fault: _Hang) -> dict[str, int]:
        (self._hung.add if fault.on else self._hung.discard)(fault.component)
        found = self._server.of(fault.component)
        for one in found:
            one.hang(fault.on)
        return {"connections": len(found)}

    def _clear(self) -> dict[str, int]:
        lifted = 0
        for component in list(self._hung):
            lifted += self._hang(_Hang(component, False))["connections"]
        self._delays.clear()
        self._server.operations.set_offline(False)
        return {"connections": lifted}
