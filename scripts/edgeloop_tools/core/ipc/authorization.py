"""What a component's accessControl allows.

Source: the classic nucleus's `AuthorizationModule` and `WildcardTrie`; nucleus lite's `ipc_authz.c`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .backend import Identity
from .limits import ACCESS_CONTROL_BYTES
from .matching import Nucleus, resource_pattern
from .rpc import SERVICE, Refused, encoder

PUBSUB = "aws.greengrass.ipc.pubsub"
MQTT_PROXY = "aws.greengrass.ipc.mqttproxy"
CLI = "aws.greengrass.Cli"
SECRETS = "aws.greengrass.SecretManager"


class Authorizer:
    """Decides with a memory of what it has decided; one per identity and its present accessControl."""

    def __init__(self, identity: Identity, nucleus: Nucleus) -> None:
        self.identity = identity
        self._nucleus = nucleus
        self._decided: dict[tuple[str, str, str | None], bool] = {}
        self._too_large = nucleus == "lite" and len(encoder.encode(identity.access_control)) > ACCESS_CONTROL_BYTES

    def check(self, service: str, operation: str, resource: str | None) -> None:
        """Refuse (UnauthorizedError) what no policy grants; `resource` None: any."""
        if self.identity.unrestricted:
            return
        key = (service, operation, resource)
        allowed = self._decided.get(key)
        if allowed is None:
            if len(self._decided) >= 4096:
                self._decided.clear()
            allowed = self._decided[key] = self._decide(service, operation, resource)
        if not allowed:
            why = f", whose accessControl is over {ACCESS_CONTROL_BYTES} bytes" if self._too_large else ""
            raise Refused(
                "UnauthorizedError",
                f"Principal {self.identity.component}{why} is not authorized to perform "
                f"{service}:{SERVICE}{operation} on resource {resource}",
            )

    def _decide(self, service: str, operation: str, resource: str | None) -> bool:
        if self._too_large or (self._nucleus == "lite" and resource and "?" in resource.replace("${?}", "")):
            return False
        policies = self.identity.access_control.get(service)
        if not isinstance(policies, dict):
            return False
        for policy in policies.values():
            if not isinstance(policy, dict):
                continue
            if {"*", SERVICE + operation}.isdisjoint(_strings(policy.get("operations"))):
                continue
            if resource is None:
                return True
            for granted in _strings(policy.get("resources")):
                pattern = resource_pattern(granted, mqtt=service == MQTT_PROXY, nucleus=self._nucleus)
                if pattern is not None and pattern.fullmatch(resource):
                    return True
        return False


def _strings(value: Any) -> Iterable[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
