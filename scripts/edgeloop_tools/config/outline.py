"""What a line.yaml says at its top, and which part of which component's configuration each section is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from edgeloop.config.declaration import Declaration
from edgeloop.config.identifiers import Id, Site
from edgeloop.plugins import Plugins
from edgeloop.topics import short

INGEST = "io.edgeloop.SensorIngest"
ANOMALY = "io.edgeloop.AnomalyInference"
CAMERA = "io.edgeloop.CameraInference"
MODELS = "io.edgeloop.ModelUpdate"
UPLOAD = "io.edgeloop.StreamUpload"
RUNTIME = "io.edgeloop.Runtime"
CONSOLE = "io.edgeloop.Console"
VIDEO = "io.edgeloop.VideoUpload"


@dataclass(frozen=True, slots=True)
class Section:
    """path: where in the component's configuration; empty: the whole of it, but for what has a section of its own."""

    component: str
    path: tuple[str, ...] = ()


SECTIONS: Final[dict[str, Section]] = {
    "sources": Section(INGEST, ("sources",)),
    "cameras": Section(CAMERA, ("cameras",)),
    "monitors": Section(ANOMALY, ("monitors",)),
    "limits": Section(ANOMALY, ("limits",)),
    "rules": Section(ANOMALY, ("rules",)),
    "alarms": Section(ANOMALY, ("alarms",)),
    "capture": Section(UPLOAD, ("capture",)),
    "upload": Section(UPLOAD),
    "notify": Section(UPLOAD, ("destinations",)),
    "models": Section(MODELS, ("models",)),
    "fleet": Section(ANOMALY, ("fleet",)),
    "console": Section(CONSOLE),
    "runtime": Section(RUNTIME),
}

SENT: Final = ("video", "opinion")
"""Settings of a camera that VideoUpload has too."""

WATCHED: Final = ("monitors", "limits")
"""Sections of who has the book of alarms that findings go to; CameraInference's where a line has cameras alone."""

Any_ = dict[str, Any] | None


class Outline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One production line on one device."""

    site: Site
    line: Annotated[Id, Meta(title="Line", description="id of the line; names its deployments")]
    assets: Annotated[
        dict[Id, str], Meta(title="Assets", description="the machines, by id, each with a few words about it")
    ] = {}
    plugins: Plugins = ""
    sources: Annotated[Any_, Meta(title="Sources", description="where samples come from, by id")] = None
    cameras: Annotated[Any_, Meta(title="Cameras", description="what is looked at, by id")] = None
    monitors: Annotated[Any_, Meta(title="Monitors", description="what is watched, by id")] = None
    limits: Annotated[Any_, Meta(title="Limits", description="thresholds and conditions that people set, by id")] = None
    alarms: Annotated[Any_, Meta(title="Alarms", description="how they are kept few")] = None
    rules: Annotated[Any_, Meta(title="Rules", description="alarms that act, by id")] = None
    actions: Annotated[Any_, Meta(title="Actions", description="what may be written, by source and then by target")] = (
        None
    )
    capture: Annotated[Any_, Meta(title="Capture", description="which samples of a stream go up, by stream")] = None
    upload: Annotated[Any_, Meta(title="Upload", description="where to and how samples and results go up")] = None
    notify: Annotated[Any_, Meta(title="Notify", description="whom alarms are told, by id: webhooks, e-mail")] = None
    models: Annotated[Any_, Meta(title="Models", description="versions that are to be active, by model")] = None
    console: Annotated[
        Any_, Meta(title="Console", description="the page for the people at the line; {}: on this device alone")
    ] = None
    fleet: Annotated[
        Any_, Meta(title="Fleet", description="what analyses over many sites find of this line; {}: as alarms")
    ] = None
    runtime: Annotated[
        Any_, Meta(title="Runtime", description="the Python environment; profiles: as needed where they are not given")
    ] = None
    components: Annotated[
        Any_, Meta(title="Components", description="any other setting, by component: SensorIngest: {tick: 100 ms}")
    ] = None

    def __post_init__(self) -> None:
        if self.plugins and not self.plugins.startswith("/"):
            raise ValueError(f"plugins: {self.plugins!r} is no absolute path on the device")


@lru_cache(maxsize=1)
def declared() -> dict[str, Declaration[Any]]:
    """This checkout's components by name."""
    from edgeloop_tools.build.components import declarations

    return {declaration.name: declaration for declaration in declarations()}


def full(name: str) -> str:
    """SensorIngest → io.edgeloop.SensorIngest; a name of someone else's component stays."""
    return {short(known): known for known in declared()}.get(name, name)


def with_site(top: Collection[str], sends: bool = False) -> list[str]:
    """Components whose configuration has a site; of the optional ones those with a section among `top`. sends: whether
    a camera's video or pictures leave the device."""
    said = {section.component for name, section in SECTIONS.items() if name in top}
    said |= {VIDEO} if sends else set()
    return [
        name
        for name, d in declared().items()
        if "site" in d.configuration.__struct_fields__ and (not d.optional or name in said)
    ]
