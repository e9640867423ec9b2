"""What a line grants beyond the recipes: to who acts, the topics of the sources it acts on, and no other; to who
needs a secret of the classic nucleus's Secret Manager, that secret; to who hears findings, those of the line's site;
to who takes a shadow's word, that shadow of a thing whose name a deployment to a group does not know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeloop import topics

ACCESS = "accessControl"
PUBSUB = "aws.greengrass.ipc.pubsub"
SECRETS = "aws.greengrass.SecretManager"
ARN = "arn:"
PROXY = "aws.greengrass.ipc.mqttproxy"
MARK, ASKS, HEARS, SHADOWS = ":actions", ":secrets", ":findings", ":shadow"
MARKS = (MARK, ASKS, HEARS, SHADOWS)
_OF_A_SHADOW = (
    ("Hear the shadow", "SubscribeToIoTCore", ("get/accepted", "update/delta")),
    ("Ask for the shadow", "PublishToIoTCore", ("get",)),
)
_MOST = 15
"""Topics of one policy: a leaf of nucleus lite's configuration has 1,024 bytes."""


def granted(components: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The configurations, each with the policies that its rules, rejects and safe actions need.

    >>> granted({"a": {"rules": {"r": {"source": "press1", "target": "stop"}}}})["a"]["accessControl"]
    {'aws.greengrass.ipc.pubsub': {'a:actions:1': {'policyDescription': 'Act', 'operations': \
['aws.greengrass#PublishToTopic'], 'resources': ['edgeloop/actions/press1']}}}
    """
    return {name: _with(name, dict(configuration)) for name, configuration in components.items()}


def own(access: Any) -> dict[str, Any]:
    """Of policies, those that a line granted."""
    found: dict[str, Any] = {}
    for service, *marks in ((PUBSUB, MARK), (SECRETS, ASKS), (PROXY, HEARS, SHADOWS)):
        policies = access.get(service) if isinstance(access, Mapping) else None
        if isinstance(policies, Mapping):
            kept = {id: policy for id, policy in policies.items() if any(mark in id for mark in marks)}
            if kept:
                found[service] = kept
    return found


def _with(name: str, configuration: dict[str, Any]) -> dict[str, Any]:
    access = dict(configuration.get(ACCESS, {}))
    count: dict[str, int] = {}
    for mark, service, what, operation, resources in _needed(configuration):
        count[mark] = count.get(mark, 0) + 1
        policy = {"policyDescription": what, "operations": [f"aws.greengrass#{operation}"], "resources": resources}
        access[service] = {**access.get(service, {}), f"{name}{mark}:{count[mark]}": policy}
    return {**configuration, ACCESS: access} if count else configuration


def _needed(configuration: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str, list[str]]]:
    """A policy each: its mark, service, description, operation and resources."""
    if arns := sorted(set(_secrets(configuration))):
        yield ASKS, SECRETS, "Ask", "GetSecretValue", arns
    fleet = configuration.get("fleet")
    if isinstance(fleet, Mapping) and fleet.get("findings", True):
        from edgeloop.fleet.messages import topic as findings

        named = findings(str(configuration.get("site", "plant")), "+")
        yield HEARS, PROXY, "Hear findings", "SubscribeToIoTCore", [named]
    if configuration.get("desired") == "shadow":
        from model_update.wishes import shadow_topic

        for what, operation, of in _OF_A_SHADOW:
            yield SHADOWS, PROXY, what, operation, [shadow_topic("+", topic) for topic in of]
    wanted = [topics.action(source) for source in sorted(set(_sources(configuration)))]
    for at in range(0, len(wanted), _MOST):
        yield MARK, PUBSUB, "Act", "PublishToTopic", wanted[at : at + _MOST]


def _secrets(value: Any) -> Iterator[str]:
    """ARNs of `…_secret`, wherever they stand."""
    for key, entry in value.items() if isinstance(value, Mapping) else ():
        if isinstance(entry, str) and str(key).endswith("_secret") and entry.startswith(ARN):
            yield entry
        yield from _secrets(entry)


def _sources(configuration: Mapping[str, Any]) -> Iterator[str]:
    """Named by rules, and by what cameras do with a part."""
    for rule in _entries(configuration.get("rules")):
        yield from _source(rule)
    for camera in _entries(configuration.get("cameras")):
        for key in ("reject", "safe"):
            yield from _source(camera.get(key))


def _entries(section: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(section, Mapping):
        yield from (entry for entry in section.values() if isinstance(entry, Mapping))


def _source(act: Any) -> Iterator[str]:
    if isinstance(act, Mapping) and isinstance(act.get("source"), str):
        yield act["source"]
