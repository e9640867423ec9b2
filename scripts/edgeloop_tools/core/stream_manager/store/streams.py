"""All streams of a store."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core import files
from edgeloop_tools.core.stream_manager.definitions import MessageStreamDefinition, Persistence, check
from edgeloop_tools.core.stream_manager.protocol import ResponseStatus, StreamManagerError
from edgeloop_tools.core.stream_manager.store.segment import Message
from edgeloop_tools.core.stream_manager.store.stream import DEFINITION, Stream, load_definition, save_definition

log = logging.getLogger("edgeloop.core.stream_manager")


class Streams:
    """`on_change(name)` is called after a stream was created, updated or deleted. Requests that cannot be raise
    StreamManagerError; a disk that refuses, OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.on_change: Callable[[str], None] = lambda name: None
        self.on_drop: Callable[[Stream, list[Message]], None] = lambda stream, messages: None
        self._streams: dict[str, Stream] = {}

    def open(self) -> None:
        """Take up what an earlier process left. Raises EdgeloopError."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in sorted(self.root.iterdir()):
                if folder.suffix in (".new", ".deleted"):
                    shutil.rmtree(folder)
                elif (folder / DEFINITION).exists():
                    self._open(folder)
        except OSError as error:
            raise EdgeloopError(
                "cannot open the store of streams",
                where=str(error.filename or self.root),
                why=error.strerror or str(error),
                mend="correct STREAM_MANAGER_STORE_ROOT_DIR",
            ) from None

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()

    @property
    def names(self) -> list[str]:
        return sorted(self._streams)

    def find(self, name: str) -> Stream | None:
        return self._streams.get(name)

    def get(self, name: str) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            raise StreamManagerError(ResponseStatus.RESOURCE_NOT_FOUND, f"there is no message stream named {name}")
        return stream

    def create(self, definition: MessageStreamDefinition) -> None:
        check(definition)
        if definition.name in self._streams:
            raise StreamManagerError(
                ResponseStatus.INVALID_REQUEST, f"a message stream named {definition.name} exists already"
            )
        folder = self._folder(definition.name)
        if definition.persistence is Persistence.FILE:
            fresh = folder.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o700)
            save_definition(fresh, definition)
            fresh.rename(folder)
            files.sync_folder(self.root)
        self._streams[definition.name] = Stream(definition, folder, self._dropped)
        self.on_change(definition.name)

    def update(self, definition: MessageStreamDefinition) -> None:
        check(definition)
        stream = self.get(definition.name)
        if definition.persistence is not stream.definition.persistence:
            raise StreamManagerError(ResponseStatus.UPDATE_NOT_ALLOWED, "the persistence of a stream cannot be changed")
        stream.update(definition)
        self.on_change(definition.name)

    def delete(self, name: str) -> None:
        stream = self.get(name)
        del self._streams[name]
        self.on_change(name)
        stream.remove()
        stream.pulse()

    def expire(self, now: int) -> None:
        for stream in list(self._streams.values()):
            stream.log.expire(now)

    def _dropped(self, stream: Stream, messages: list[Message]) -> None:
        self.on_drop(stream, messages)

    def _folder(self, name: str) -> Path:
        return self.root / hashlib.sha256(name.encode()).hexdigest()[:40]

    def _open(self, folder: Path) -> None:
        try:
            definition = load_definition(folder)
            stream = Stream(definition, folder, self._dropped)
        except (msgspec.MsgspecError, OSError, ValueError) as error:
            log.error("a stream cannot be opened and stays aside (%s): %s", folder, error)
            return
        self._streams[definition.name] = stream
