"""What this device was taught: packages that CameraInference made here, each for this device alone.

A command names one by its digest; it is read from CameraInference's work folder and nowhere else. It stands until the
configuration says something else of the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop import clock
from edgeloop.config.identifiers import Id
from edgeloop.durable import Document
from edgeloop.models import taught
from edgeloop.models.manifest import Digest, Version
from model_update.configuration import Configuration, Model

FILE = "taught.json"


class Teaching(msgspec.Struct, frozen=True, kw_only=True):
    """On `edgeloop/commands/models`. by: a person's name, for the record."""

    command: Literal["taught"]
    name: Id
    digest: Digest
    version: Version
    by: Annotated[str, Meta(max_length=64)] = ""


class Kind(msgspec.Struct, frozen=True):
    """What a command on that topic begins with."""

    command: Annotated[str, Meta(max_length=32)] = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """wish: what the configuration said of the model then. time: ns UTC."""

    digest: Digest
    version: Version
    by: str
    time: int
    wish: str


class Kept(msgspec.Struct, kw_only=True):
    schema: int = 2
    models: dict[str, Entry] = {}


class Lessons:
    """What was taught, by model. Raises OSError where it cannot be written."""

    def __init__(self, root: Path, work: Path) -> None:
        self._root = root
        self._file = Document(work / FILE, Kept, Kept)
        self._kept = self._file.load()

    @property
    def damage(self) -> str:
        """Why what was kept could not be read, or nothing."""
        return self._file.damage

    def take(self, command: Teaching, configuration: Configuration) -> str:
        """Why it is not taken, or nothing."""
        if not allowed(configuration.models.get(command.name), configuration):
            return f"the line trusts packages of its keys alone: set models.{command.name}.taught: allowed"
        if not taught.place(self._root, command.name, command.digest).is_file():
            return "it is not in CameraInference's work folder"
        entry = Entry(
            digest=command.digest, version=command.version, by=command.by, time=clock.now(),
            wish=_wish(command.name, configuration),
        )  # fmt: skip
        self._kept.models[command.name] = entry
        self._file.save(self._kept)
        return ""

    def desired(self, configuration: Configuration) -> dict[str, Model]:
        """Models that are wanted as they were taught here."""
        found = {}
        for name, entry in self._kept.models.items():
            if allowed(configuration.models.get(name), configuration) and entry.wish == _wish(name, configuration):
                uri = taught.place(self._root, name, entry.digest).as_uri()
                known = configuration.models.get(name, Model(uri="default"))
                found[name] = msgspec.structs.replace(known, uri=uri, digest=entry.digest, version="")
        return found


def allowed(model: Model | None, configuration: Configuration) -> bool:
    """Whether the line takes what was made on the device; where it says nothing: while no key is named."""
    said = model.taught if model is not None else ""
    return said == "allowed" or (not said and not configuration.keys)


def _wish(name: str, configuration: Configuration) -> str:
    model = configuration.models.get(name)
    return f"{model.uri} {model.digest} {model.version}" if model is not None else ""
