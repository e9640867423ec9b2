"""A line onto a thing group: every configured component as a root with its exact version, then each device's own layer.

A second run completes a first one: what is deployed already is not deployed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.recipes import Requirement, Version
from edgeloop_tools.fleet.account import Account
from edgeloop_tools.fleet.document import Document, changes, with_components
from edgeloop_tools.fleet.layers import device_document, effective, released
from edgeloop_tools.fleet.progress import Outcome, Progress
from edgeloop_tools.fleet.registry import Registry
from edgeloop_tools.fleet.rollout import Rollout
from edgeloop_tools.fleet.target import Targets

RUNTIME, UMBRELLA, UPLOAD = "io.edgeloop.Runtime", "io.edgeloop.Edgeloop", "io.edgeloop.StreamUpload"
STREAM_MANAGER = "aws.greengrass.StreamManager"

Merges = Mapping[str, Mapping[str, Any]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """group: component → configuration. devices: thing → the same with its overlay. version: of all of ours, None is
    each one's newest. stream_manager: a version, "" for the newest where something is uploaded, None for none. again:
    also when nothing changes."""

    group: Merges
    devices: Mapping[str, Merges]
    name: str
    rollout: Rollout
    version: str | None = None
    stream_manager: str | None = ""
    again: bool = False


@dataclass(slots=True)
class Plan:
    """current, new: of the group. devices: thing → (current, new) of those that have or get a layer. again: targets
    that are deployed to even though nothing changes, "" is the group. release: things whose layer holds versions that
    the group is about to leave."""

    arn: str
    members: list[str]
    current: Document
    new: Document
    versions: dict[str, str]
    devices: dict[str, tuple[Document, Document]] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    release: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.current != self.new or "" in self.again

    def pending(self) -> list[str]:
        """Things whose layer must be deployed: it changes, or the group's deployment is younger."""
        return [
            thing
            for thing, (old, new) in self.devices.items()
            if old != new or thing in self.again or (self.changed and new.get("components"))
        ]


class Planner:
    def __init__(self, account: Account, registry: Registry, targets: Targets, ours: frozenset[str]) -> None:
        self._account, self._registry, self._targets = account, registry, targets
        self._ours = ours
        self.recipes: dict[str, dict[str, Any]] = {}
        """Of our components, at their versions."""

    def plan(self, group: str, wanted: Wanted, leave: frozenset[str] = frozenset()) -> Plan:
        """leave: things whose own layer stays as it is."""
        members = self._targets.devices(group)
        arn = self._account.group(group)
        current, stands = self._targets.current(arn)
        versions = self._versions(wanted, current.get("components", {}))
        roots = {name: version for name, version in versions.items() if name in (RUNTIME, UMBRELLA, *wanted.group)}
        new = with_components(current, wanted.group, roots, self._ours)
        self._stream_manager(new["components"], wanted)
        new["deploymentName"] = wanted.name or new.get("deploymentName", "")
        new["deploymentPolicies"] = wanted.rollout.policies(current.get("deploymentPolicies", {}))
        if job := wanted.rollout.job(current.get("iotJobConfiguration", {})):
            new["iotJobConfiguration"] = job
        self._check(new["components"])
        plan = Plan(arn, members, current, new, versions, again=set() if stands and not wanted.again else {""})
        self._devices(plan, wanted, leave)
        return plan

    def _versions(self, wanted: Wanted, there: Mapping[str, Any]) -> dict[str, str]:
        devices = (name for merges in wanted.devices.values() for name in merges)
        names = sorted({RUNTIME, *wanted.group, *devices} & self._ours)
        if UMBRELLA in there:
            names.append(UMBRELLA)
        found = {}
        for name in names:
            if wanted.version:
                version: Version | None = Version.parse(wanted.version, "--version")
                if version not in self._registry.versions(name):
                    raise EdgeloopError(f"{name} {version} is not published", where=self._account.region,
                                        mend=f"edgeloop publish --version {version}")  # fmt: skip
            else:
                version = self._registry.newest(name)
            if version is None:
                mend = f"edgeloop publish --region {self._account.region}"
                raise EdgeloopError(f"{name} is not published", where=self._account.region, mend=mend)
            found[name] = str(version)
            self.recipes[name] = self._registry.recipe(name, version)
        return found

    def _stream_manager(self, components: dict[str, Any], wanted: Wanted) -> None:
        given = wanted.stream_manager
        uploads = any(wanted.group.get(UPLOAD, {}).get(key) for key in ("bucket", "kinesis"))
        if given is None or (given == "" and (not uploads or STREAM_MANAGER in components)):
            return
        version = given or self._registry.newest(STREAM_MANAGER)
        if version is None:
            mend = "give its version with --stream-manager, or none"
            raise EdgeloopError(f"no version of {STREAM_MANAGER} is to be seen", mend=mend)
        components[STREAM_MANAGER] = components.get(STREAM_MANAGER, {}) | {"componentVersion": str(version)}

    def _check(self, components: Mapping[str, Any]) -> None:
        """What our components need of one another, as Greengrass will look at it on the device."""
        for name, recipe in self.recipes.items():
            for other, line in (recipe.get("ComponentDependencies") or {}).items():
                entry, needs = components.get(other), str(line.get("VersionRequirement", ""))
                if entry and needs and not Requirement.parse(needs).holds(Version.parse(entry["componentVersion"])):
                    raise EdgeloopError("these versions do not go together", why=f"{name} needs {other} {needs}, "
                                        f"{entry['componentVersion']} would be deployed",
                                        mend="edgeloop publish --version NEXT_PATCH")  # fmt: skip

    def _devices(self, plan: Plan, wanted: Wanted, leave: frozenset[str]) -> None:
        known = self._targets.things() | wanted.devices.keys()
        for thing in sorted((known & set(plan.members)) - leave):
            current, stands = self._targets.current(self._account.thing(thing))
            held = {n: e for n, e in current.get("components", {}).items() if n in self._ours}
            if thing not in wanted.devices and not held:
                continue
            device = wanted.devices.get(thing, wanted.group)
            new = device_document(thing, current, wanted.group, device, plan.versions, self._ours)
            if not new["components"] and not current:
                continue
            new.setdefault("deploymentName", f"{plan.new['deploymentName']}: {thing}")
            new.setdefault("deploymentPolicies", plan.new["deploymentPolicies"])
            plan.devices[thing] = (current, new)
            if not stands:
                plan.again.add(thing)
            if any(plan.versions.get(name) != entry.get("componentVersion") for name, entry in held.items()):
                plan.release.append(thing)

    def preview(self, wanted: Wanted, thing: str) -> Iterator[tuple[str, str, str, Any]]:
        """(component, pointer, layer, value)."""
        defaults = {
            name: (recipe.get("ComponentConfiguration") or {}).get("DefaultConfiguration") or {}
            for name, recipe in self.recipes.items()
        }
        group = {name: wanted.group.get(name, {}) for name in self.recipes}
        return effective(defaults, group, {**group, **wanted.devices.get(thing, {})})


class Deployer:
    def __init__(self, account: Account, targets: Targets, progress: Progress, ours: frozenset[str], say: Say) -> None:
        self._account, self._targets, self._progress, self._ours, self._say = account, targets, progress, ours, say

    def deploy(self, plan: Plan, *, wait: bool) -> bool:
        """False when a device did not succeed. Devices with layers are waited for in any case: theirs come after the
        group's."""
        pending = plan.pending()
        if plan.changed and plan.release:
            self._release(plan)
        good = True
        if plan.changed:
            id, job = self._targets.deploy(plan.arn, plan.new)
            self._say(f"deployment {id} to {plan.arn.rpartition('/')[2]}: {len(plan.members)} devices")
            if wait:
                good = self._told(self._progress.group(id, job, plan.members), id)
            elif pending:
                good = self._told(self._progress.devices(dict.fromkeys(pending, id)), id)
        made = {}
        for thing in pending if good else []:
            made[thing], _ = self._targets.deploy(self._account.thing(thing), plan.devices[thing][1])
            self._say(f"deployment {made[thing]} to {thing}: its own layer")
        if made and wait:
            good = self._told(self._progress.devices(made), "the devices' layers")
        if wait and (ill := self._progress.unhealthy(plan.arn)):
            self._say(f"unhealthy: {', '.join(ill)}")
            good = False
        return good

    def _release(self, plan: Plan) -> None:
        made = {}
        for thing in plan.release:
            document = released(plan.devices[thing][0], self._ours)
            made[thing], _ = self._targets.deploy(self._account.thing(thing), document)
            self._say(f"deployment {made[thing]} to {thing}: frees the versions that its layer holds")
        outcome = self._progress.devices(made)
        if not outcome.good:
            names = ", ".join([*outcome.bad, *outcome.open])
            mend = "bring them online and run this again, or leave them for later with --leave THING"
            raise EdgeloopError("the group is not deployed: a layer holds old versions", where=names, mend=mend)

    def _told(self, outcome: Outcome, what: str) -> bool:
        for device, why in outcome.bad.items():
            self._say(f"{device}: {why}")
        if outcome.open:
            names = ", ".join(outcome.open[:10]) + (" …" if len(outcome.open) > 10 else "")
            self._say(f"{len(outcome.open)} devices have not answered ({what}): {names}; run this again later")
        return outcome.good


def described(plan: Plan) -> Iterator[str]:
    """The difference to the current deployments, for a person."""
    yield f"{plan.arn.rpartition('/')[2]}: {len(plan.members)} devices"
    if plan.current == plan.new:
        yield "nothing to change" + (", deployed again" if plan.changed else "")
    else:
        yield from changes(plan.current, plan.new)
    for thing in plan.pending():
        yield f"{thing}: its own layer"
        lines = list(changes(*plan.devices[thing]))
        yield from lines if plan.devices[thing][0] != plan.devices[thing][1] else ("as it is, after the group's",)
