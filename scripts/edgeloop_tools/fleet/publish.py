"""Component versions into an account, in an order in which each finds what it depends on. A second run of the same
finishes what a first one began: what is there already with the same content is left as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from edgeloop import __version__
from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.recipes import Version
from edgeloop_tools.fleet import project
from edgeloop_tools.fleet.account import Account
from edgeloop_tools.fleet.bucket import Bucket
from edgeloop_tools.fleet.content import content, differences
from edgeloop_tools.fleet.registry import DEPLOYABLE, FAILED, Registry, conflicting
from edgeloop_tools.fleet.units import Unit, at, text_of

NEXT_PATCH = "NEXT_PATCH"
Found = Literal["new", "failed", "pending", "published"]
Say = Callable[[str], None]


@dataclass(slots=True)
class Step:
    """found: what the account has under this version; `failed` is replaced, `pending` awaited."""

    unit: Unit
    version: Version
    recipe: str
    found: Found
    why: str = ""

    @property
    def needed(self) -> bool:
        return self.found in ("new", "failed")


def plan(units: Sequence[Unit], wanted: str, registry: Registry) -> list[Step]:
    """wanted: NEXT_PATCH (the newest version where it is the same, else the one after it) or an exact version.

    Raises EdgeloopError where a version is there with another content.
    """
    from edgeloop_tools.build.components import UMBRELLA

    exact = None if wanted == NEXT_PATCH else Version.parse(wanted, "--version")
    published: dict[str, Version] = {}
    steps = []
    for unit in units:
        pinned = unit.name == UMBRELLA
        for name in unit.recipe.get("ComponentDependencies", {}):
            if name.startswith("io.edgeloop.") and name not in published:
                published.update(_newest(name, unit, registry, pinned))
        step = _step(unit, exact, published, registry, pinned)
        published[unit.name] = step.version
        steps.append(step)
    return steps


def _newest(name: str, unit: Unit, registry: Registry, pinned: bool) -> dict[str, Version]:
    newest = registry.newest(name)
    if newest is None and pinned:
        raise EdgeloopError(f"{unit.name} depends on {name}, which is not published", mend="publish it too")
    return {name: newest} if newest else {}


def _step(unit: Unit, exact: Version | None, published: dict[str, Version], registry: Registry, pinned: bool) -> Step:
    there = registry.versions(unit.name)
    here = Version.parse(__version__)
    version = exact or (there[0] if there else here)

    def step(at_version: Version, found: Found, why: str = "") -> Step:
        return Step(unit, at_version, text_of(unit, at(unit, at_version, published, pinned=pinned)), found, why)

    if version not in there:
        return step(version, "new")
    state = registry.state(unit.name, version)
    if state.name == FAILED:
        return step(version, "failed", state.reason)
    changed = difference(unit, version, published, registry, pinned=pinned)
    if not changed:
        return step(version, "published" if state.name == DEPLOYABLE else "pending")
    if exact:
        mend = f"raise the version: --version {following(there[0])} or --version {NEXT_PATCH}"
        what = f"{unit.name} {version} is published with another content"
        raise EdgeloopError(what, why=", ".join(changed), mend=mend)
    return step(max(following(version), here), "new", ", ".join(changed))


def difference(
    unit: Unit, version: Version, published: dict[str, Version], registry: Registry, *, pinned: bool
) -> list[str]:
    """The parts in which the version in the account is another than this checkout's."""
    ours = content(at(unit, version, published, pinned=pinned), unit.files)
    return differences(ours, content(registry.recipe(unit.name, version)))


def following(version: Version) -> Version:
    """
    >>> str(following(Version.parse("0.1.9")))
    '0.1.10'
    """
    major, minor, patch = version.release
    return Version((major, minor, patch + 1))


@dataclass(frozen=True, slots=True)
class Publisher:
    """prefix: the bucket's name without region and account. folder: where the GDK projects go. gdk: the program that
    builds and publishes them; without, boto3 makes the same calls."""

    account: Account
    registry: Registry
    prefix: str
    bucket: Bucket
    folder: Path
    gdk: str | None
    say: Say

    def publish(self, steps: Sequence[Step]) -> None:
        """Every step that is needed, each deployable before the next begins."""
        if any(step.needed and step.unit.files for step in steps) and not self.bucket.exists():
            self.bucket.create()
            self.say(f"made the bucket {self.bucket.name}")
        for step in steps:
            name = f"{step.unit.name} {step.version}"
            if step.found == "published":
                self.say(f"{name}: published already")
                continue
            if step.found == "failed":
                self.say(f"{name}: replacing what failed{f' ({step.why})' if step.why else ''}")
                self.registry.delete(step.unit.name, step.version)
            if step.needed:
                self._create(step)
            self.registry.wait(step.unit.name, step.version)
            self.say(f"{name}: deployable")

    def emit(self, step: Step) -> Path:
        unit, region = step.unit, self.account.region
        return project.emit(self.folder, unit.name, str(step.version), step.recipe, unit.files, self.prefix, region)

    def _create(self, step: Step) -> None:
        folder = self.emit(step)
        if self.gdk:
            project.run(self.gdk, folder, self.account.region, "build")
            words = ["publish", "--bucket", self.bucket.name, "--region", self.account.region]
            project.run(self.gdk, folder, self.account.region, *words)
            return
        for file, data in step.unit.files.items():
            key = f"{step.unit.name}/{step.version}/{file}"
            if self.bucket.put(key, data):
                self.say(f"{step.unit.name} {step.version}: {file}, {len(data):,} B")
        try:
            self.registry.create(placed(step.recipe, self.bucket.name, step.unit.name, step.version))
        except EdgeloopError as refused:
            if not conflicting(refused):
                raise
            theirs = content(self.registry.recipe(step.unit.name, step.version))
            if changed := differences(content(yaml.safe_load(step.recipe), step.unit.files), theirs):
                mend = f"somebody else publishes too: run this again, or use --version {NEXT_PATCH}"
                raise EdgeloopError(f"{step.unit.name} {step.version} has just been made with another content",
                                    why=", ".join(changed), mend=mend) from refused  # fmt: skip


def placed(recipe: str, bucket: str, name: str, version: Version) -> str:
    """With the artifacts' places for GDK's placeholders."""
    return recipe.replace("s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/", f"s3://{bucket}/{name}/{version}/")
