"""Rules of the recipes together: dependencies, policies, topics."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from edgeloop import topics
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import RUNTIME, UMBRELLA, declarations
from edgeloop_tools.core.ipc import limits, rpc
from edgeloop_tools.core.ipc.matching import resource_pattern
from edgeloop_tools.core.recipes import Requirement, Version
from edgeloop_tools.lint import Finding
from edgeloop_tools.lint.document import Document, Where

OURS = "io.edgeloop."
OPTIONAL = {"aws.greengrass.StreamManager"}
"""A line of the fleet's deployment, never in a recipe."""
SERVICES = {
    "aws.greengrass.ipc.pubsub": {"aws.greengrass#PublishToTopic", "aws.greengrass#SubscribeToTopic"},
    "aws.greengrass.ipc.mqttproxy": {"aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"},
}


def dependencies(documents: Sequence[Document]) -> Iterator[Finding]:
    """`dependency`: SOFT but for the umbrella's, with requirements that the recipes at hand fulfil."""
    known = {document.name: document for document in documents}
    roots = {declaration.name for declaration in declarations() if declaration.optional}
    for document in documents:
        for name, dependency in document.dependencies.items():
            where: Where = ("ComponentDependencies", name)
            kind, text = dependency.get("DependencyType"), str(dependency.get("VersionRequirement") or "")
            if re.search(r"[\^~*xX|]", text):
                yield document.finding(where, "dependency", f"lite does not read {text!r}", "use >= > < <= =")
            if name in OPTIONAL:
                yield document.finding(where, "dependency", f"{name} does not belong here", "deploy it beside")
            if kind == "HARD" and document.name != UMBRELLA:
                why = "lite binds HARD: one kill of it stops this component for good"
                yield document.finding(where, "dependency", f"HARD on {name}: {why}", "write SOFT")
            if document.name == UMBRELLA and kind != "HARD":
                yield document.finding(where, "dependency", f"the umbrella needs {name} HARD")
            if name.startswith(OURS) and name not in known:
                yield document.finding(where, "dependency", f"there is no recipe of {name}")
            elif name in known and not _fulfilled(text, known[name].version):
                yield document.finding(where, "dependency", f"{name} {known[name].version} is not {text}")
        if document.name.startswith(OURS) and document.name not in (RUNTIME, UMBRELLA):
            if RUNTIME not in document.dependencies:
                what = f"no dependency on {RUNTIME}"
                yield document.finding(("ComponentDependencies",), "dependency", what, "add it, SOFT")
            missing = UMBRELLA in known and document.name not in known[UMBRELLA].dependencies
            if missing and document.name not in roots:
                yield known[UMBRELLA].finding(("ComponentDependencies",), "dependency", f"{document.name} is missing")


def cycles(documents: Sequence[Document]) -> Iterator[Finding]:
    """`cycle`."""
    edges = {document.name: list(document.dependencies) for document in documents}
    for document in documents:
        for name in document.dependencies:
            seen, todo = set[str](), [name]
            while todo:
                if (here := todo.pop()) not in seen:
                    seen.add(here)
                    todo += edges.get(here, [])
            if document.name in seen:
                where: Where = ("ComponentDependencies", name)
                yield document.finding(where, "cycle", f"{document.name} depends on itself through {name}")


def policies(documents: Sequence[Document]) -> Iterator[Finding]:
    """`policy`: unique ids, known operations, topics named as narrowly as both nuclei read them."""
    owners: dict[str, list[tuple[Document, Where]]] = defaultdict(list)
    for document in documents:
        access = document.defaults.get("accessControl")
        if access and (length := len(rpc.encoder.encode(access))) > limits.ACCESS_CONTROL_BYTES:
            yield document.finding(
                ("ComponentConfiguration", "DefaultConfiguration", "accessControl"), "policy",
                f"{length} B of accessControl, lite takes {limits.ACCESS_CONTROL_BYTES}",
            )  # fmt: skip
        for where, service, name, policy in document.policies():
            owners[name].append((document, where))
            if not re.fullmatch(re.escape(document.name) + r":[a-z]+:[1-9]\d*", name):
                yield document.finding(where, "policy", f"{name} is no id of {document.name}:<service>:<number>")
            operations = policy.get("operations")
            for operation in operations if isinstance(operations, list) else [None]:
                if operation not in SERVICES.get(service, ()):
                    what = f"{operation} is no operation of {service}"
                    yield document.finding((*where, "operations"), "policy", what)
            resources = policy.get("resources")
            for number, resource in enumerate(resources if isinstance(resources, list) else [None]):
                here: Where = (*where, "resources", number)
                yield from _resource(document, here, service, operations, resource)
    for name, places in owners.items():
        for document, where in places[1:]:
            yield document.finding(where, "policy", f"{name} is also in {places[0][0].path.name}", "ids are unique")


def _resource(
    document: Document, where: Where, service: str, operations: object, resource: object
) -> Iterator[Finding]:
    if not isinstance(resource, str) or not resource:
        yield document.finding(where, "policy", "a policy names its topics")
        return
    local = service.endswith("pubsub")
    if re.search(r"[?{}$]" if not local else r"[?{}$+#]", resource):
        mend = "* is the only wildcard of a policy" if local else ""
        yield document.finding(where, "policy", f"{resource}: not read alike by both nuclei", mend)
        return
    if resource.strip("*/") == "":
        yield document.finding(where, "policy", f"{resource} grants everything", "name the topics")
        return
    if not local:
        return
    if not resource.startswith("edgeloop/"):
        what = f"{resource} is none of this project's topics"
        yield document.finding(where, "topic", what, "they begin with edgeloop/")
    pattern = resource_pattern(resource, mqtt=False, nucleus="lite")
    subscribing = isinstance(operations, list) and "aws.greengrass#SubscribeToTopic" in operations
    if subscribing and pattern is not None and pattern.fullmatch(topics.TRUTH):
        yield document.finding(where, "topic", f"no component may subscribe to {topics.TRUTH}")


def _fulfilled(requirement: str, version: str) -> bool:
    try:
        return Requirement.parse(requirement).holds(Version.parse(version))
    except EdgeloopError:
        return True


TOGETHER: tuple[Callable[[Sequence[Document]], Iterator[Finding]], ...] = (dependencies, cycles, policies)
