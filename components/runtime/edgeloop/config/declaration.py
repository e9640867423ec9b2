"""What a component says of itself; recipes, policies and README tables are generated from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import msgspec

C = TypeVar("C", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Dependency:
    """A line of ComponentDependencies. SOFT does not bind the life of one process to another's."""

    requirement: str
    type: Literal["SOFT", "HARD"] = "SOFT"


@dataclass(frozen=True, slots=True)
class Declaration(Generic[C]):
    """One Greengrass component.

    package: the Python package below components/ and the name of its zip application.
    publishes, subscribes: topics of the local bus, as the resources of accessControl (`*` is a glob there).
    cloud_subscribes: the same of IoT Core.
    models: names of the default models that come along as further artifacts.
    vendored: names of the networks of others that do, `<name>.onnx`.
    renamed: settings of earlier versions, as dotted paths, and where their values belong now; "" where nowhere.
    optional: not part of the umbrella; a root of the lines that configure it, because a dependency has no condition.
    senses: it goes on while the nucleus is dead, until its successor asks for the work folder.
    policy: counts up when publishes or subscribes change, because stale policies survive an upgrade under their id.
    """

    name: str
    description: str
    package: str
    configuration: type[C]
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    cloud_subscribes: tuple[str, ...] = ()
    dependencies: dict[str, Dependency] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    vendored: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    policy: int = 1
    optional: bool = False
    senses: bool = False
