"""A recipe after it was read: format version 2020-01-25 of the Greengrass component recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeloop_tools.core.recipes.versions import Requirement, Version

DependencyType = Literal["SOFT", "HARD"]
StepName = Literal["install", "startup", "run", "shutdown", "recover"]


@dataclass(frozen=True, slots=True)
class RecipeDependency:
    requirement: Requirement
    type: DependencyType = "HARD"


@dataclass(frozen=True, slots=True)
class Skip:
    """`Skipif: onpath PROGRAM` or `exists FILE`."""

    kind: Literal["onpath", "exists"]
    argument: str


@dataclass(frozen=True, slots=True)
class Step:
    """timeout: seconds, None where the nucleus's default holds."""

    script: str
    timeout: float | None = None
    setenv: dict[str, str] = field(default_factory=dict)
    skip: Skip | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    steps: dict[StepName, Step]
    setenv: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    """digest: SHA-256 in base64, "" where the recipe gives none."""

    uri: str
    digest: str = ""
    unarchive: Literal["NONE", "ZIP"] = "NONE"
    read: Literal["NONE", "OWNER", "ALL"] = "OWNER"
    execute: Literal["NONE", "OWNER", "ALL"] = "NONE"

    @property
    def file(self) -> str:
        """
        >>> Artifact("s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/hello.pyz").file
        'hello.pyz'
        """
        return self.uri.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Manifest:
    platform: dict[str, str]
    lifecycle: Lifecycle
    artifacts: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One version of one component. `manifest` is the first that fits this machine, None where none does."""

    name: str
    version: Version
    dependencies: dict[str, RecipeDependency]
    configuration: dict[str, Any]
    manifest: Manifest | None
    description: str = ""
    publisher: str = ""
    path: Path | None = None
    text: bytes = b""

    @property
    def lifecycle(self) -> Lifecycle:
        return self.manifest.lifecycle if self.manifest else Lifecycle({})

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return self.manifest.artifacts if self.manifest else ()
