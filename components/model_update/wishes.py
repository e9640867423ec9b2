"""What is to be active, from whoever may say so: hold > configuration > model component > IoT Core.

A hold is the delivery's own affair. A model component writes `wishes/<model>.json` into this component's work folder;
what comes from IoT Core, as a retained message or a named shadow, is kept there too, so that it stands while offline.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from edgeloop import durable
from edgeloop.config.identifiers import Id
from edgeloop.decode import content, document
from edgeloop.errors import DecodeError
from edgeloop.models.store import directory
from model_update.configuration import Configuration, Model

FOLDER: Final = "wishes"
CLOUD: Final = "iot-core"
LARGEST: Final = 128 << 10
SHADOW: Final = "edgeloop-models"
PROBLEM: Final = "desired"


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one model. A step back, budgets and candidates are the configuration's alone."""

    uri: Annotated[str, Meta(max_length=1024)]
    digest: Annotated[str, Meta(max_length=80)]
    attempt: Annotated[int, Meta(ge=1)] = 1
    component: Annotated[str, Meta(max_length=128)] = ""

    def model(self) -> Model:
        """Raises ValueError."""
        return Model(uri=self.uri, digest=self.digest, attempt=self.attempt)


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """All that IoT Core wants: one message is the whole state."""

    schema: Literal[1] = 1
    models: dict[Id, Wish] = {}


class _State(msgspec.Struct, frozen=True, kw_only=True):
    desired: Desired = Desired()


class ShadowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """As `get/accepted` of a named shadow has it."""

    state: _State = _State()


@dataclass(frozen=True, slots=True)
class Wanted:
    """by: who says so."""

    model: Model
    by: str


def topic(thing: str) -> str:
    """Of IoT Core: JSON, retained: `Desired`."""
    return f"edgeloop/{thing}/models"


def shadow_topic(thing: str, what: str) -> str:
    """Of the named shadow: get, get/accepted, update/delta."""
    return f"$aws/things/{thing}/shadow/name/{SHADOW}/{what}"


class Wishes:
    """Read anew where a file has changed. Messages come on another thread than `all`."""

    def __init__(
        self, root: Path, work: Path, problem: Callable[[str, str | None], None], changed: Callable[[], object]
    ) -> None:
        self._root, self._folder = root, work / FOLDER
        self._problem, self._changed = problem, changed
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._found: dict[str, Wanted] = {}
        durable.make_folder(self._folder)

    def message(self, topic: str, payload: bytes) -> None:
        """The handler of `topic(thing)`. An empty message takes every wish back."""
        self._told(payload or b"{}", Desired, lambda found: found)

    def shadow(self, topic: str, payload: bytes) -> None:
        """The handler of the shadow's `get/accepted`."""
        self._told(payload, ShadowDocument, lambda found: found.state.desired)

    def fresh(self) -> bool:
        """Whether a file has come, gone or changed since the last `all`."""
        return self._stamps() != self._seen

    def all(self, configuration: Configuration) -> dict[str, Wanted]:
        """By model, what stands first in the order of precedence."""
        stamps = self._stamps()
        if stamps != self._seen:
            self._found, self._seen = self._read(), stamps
        heard = self._heard(configuration)
        found = {name: wanted for name, wanted in self._found.items() if wanted.by != CLOUD or heard}
        names = {name.partition("/")[2] for name in found}
        merged: dict[str, Wanted] = {}
        for name in sorted(names):
            merged[name] = found.get(f"component/{name}") or found[f"{CLOUD}/{name}"]
        return merged | {name: Wanted(model, "configuration") for name, model in configuration.models.items()}

    def _heard(self, configuration: Configuration) -> bool:
        """IoT Core says what runs here only where somebody's signature is asked for."""
        line = None
        if configuration.desired and not configuration.keys:
            line = "what IoT Core wants is not taken: no key is named; name one in keys, for what comes must be signed"
        self._problem(PROBLEM, line)
        return bool(configuration.desired and configuration.keys)

    def _told(self, payload: bytes, kind: type[Any], of: Callable[[Any], Desired]) -> None:
        try:
            desired = of(document(payload, kind))
            for wish in desired.models.values():
                wish.model()
            durable.replace(self._folder / f"{CLOUD}.json", msgspec.json.encode(desired))
        except (DecodeError, ValueError) as error:
            line = f"what IoT Core wants is not valid, what it wanted before stands: {error}"
            self._problem(f"{PROBLEM}.message", line)
            return
        except OSError as error:
            self._problem(f"{PROBLEM}.message", f"what IoT Core wants cannot be kept: {error.strerror or error}")
            return
        self._problem(f"{PROBLEM}.message", None)
        self._changed()

    def _stamps(self) -> tuple[tuple[str, int, int], ...]:
        found = []
        try:
            for entry in os.scandir(self._folder):
                about = entry.stat(follow_symlinks=False)
                if entry.name.endswith(".json"):
                    found.append((entry.name, about.st_mtime_ns, about.st_size))
        except OSError:
            return ()
        return tuple(sorted(found))

    def _read(self) -> dict[str, Wanted]:
        found: dict[str, Wanted] = {}
        for path in sorted(self._folder.glob("*.json")):
            key = f"{PROBLEM}.{path.stem}"
            try:
                data = content(path, what="what is wanted", most=LARGEST)
                if path.stem == CLOUD:
                    said = document(data, Desired)
                    found |= {f"{CLOUD}/{name}": Wanted(w.model(), CLOUD) for name, w in said.models.items()}
                else:
                    wish = document(data, Wish)
                    if self._there(path.stem, wish):
                        by = f"component {wish.component}".strip()
                        found[f"component/{path.stem}"] = Wanted(wish.model(), by)
            except (OSError, DecodeError, ValueError) as error:
                self._problem(key, f"{path.name} is not taken: {error}")
                continue
            self._problem(key, None)
        return found

    def _there(self, name: str, wish: Wish) -> bool:
        """A model component that was removed wants nothing any more: its artifact is gone."""
        parts = urlsplit(wish.uri)
        if parts.scheme != "file" or Path(unquote(parts.path)).is_file():
            return True
        return (directory(self._root, name) / wish.model().sha256).is_dir()
