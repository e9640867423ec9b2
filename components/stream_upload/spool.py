"""Files that wait for upload, in the work folder, each with a note of what it is.

A file counts from the rename of its content on, which is one step together with the account in its note: after a
death at any point a file and what it says of its stream are both there or both not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop import durable
from edgeloop.durable import Damaged, make_folder, place, read, remove
from edgeloop.durable.disk import NEW
from edgeloop.errors import EdgeloopError
from edgeloop.journal import Position
from stream_upload.ledger import Gap

_NOTE: Final = ".json"

Kind = Literal["samples", "gaps", "records", "files"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is settled with a file: journal position, epochs (hexadecimal) and what will not arrive."""

    stream: str
    done: Position
    epochs: dict[str, int]
    gaps: list[Gap] = []


class Until(msgspec.Struct, frozen=True, kw_only=True):
    """Byte of a file of records up to which it is in a file of the spool."""

    component: str
    entry: str
    offset: int


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Of one file. made: ns UTC. accounts: of the streams that are settled further with it; until: of its records.

    serial: number of the state that takes account of this file, for `gaps`.
    """

    key: str
    kind: Kind
    bytes: int
    made: int
    accounts: tuple[Account, ...] = ()
    until: Until | None = None
    serial: int = 0


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be uploaded."""

    path: Path
    note: Note


class SpoolError(EdgeloopError):
    """The work folder takes no files."""


class Spool:
    """Numbered files of one folder. Raises SpoolError where the folder cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bytes = 0
        self.damaged = 0
        self.made = 0
        self._number = 0
        self._files: dict[str, Waiting] = {}
        try:
            make_folder(folder)
            names = sorted(os.listdir(folder))
        except OSError as error:
            raise _unusable(folder, error) from error
        for name in names:
            path = folder / name
            if name.endswith(_NOTE):
                self._number = max(self._number, _number(name))
            else:
                self._recover(path)
        for name in names:
            if name.endswith(_NOTE) and not (folder / name.removesuffix(_NOTE)).exists():
                (folder / name).unlink(missing_ok=True)

    @property
    def files(self) -> tuple[Waiting, ...]:
        """Oldest first."""
        return tuple(self._files.values())

    def held(self, *kinds: Kind) -> int:
        """Bytes of files of some kinds."""
        return sum(waiting.note.bytes for waiting in self._files.values() if waiting.note.kind in kinds)

    def add(self, write: Callable[[Path], Note]) -> Waiting:
        """A file whose content `write` brings to the path that it is given, and to the disk.

        Its note has its name on the disk before the file has.
        """
        self._number += 1
        path = self.folder / f"{self._number:012d}"
        new = path.with_name(path.name + NEW)
        try:
            note = write(new)
            durable.write(_note(path), note)
            place(new, path)
        except OSError as error:
            remove(new)
            remove(_note(path))
            raise _unusable(self.folder, error) from error
        waiting = Waiting(path=path, note=note)
        self._files[path.name] = waiting
        self.bytes += note.bytes
        self.made += 1
        return waiting

    def remove(self, waiting: Waiting) -> None:
        """It has arrived. Harmless when repeated."""
        if self._files.pop(waiting.path.name, None) is None:
            return
        self.bytes -= waiting.note.bytes
        try:
            waiting.path.unlink(missing_ok=True)
            _note(waiting.path).unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(self.folder, error) from error

    def _recover(self, path: Path) -> None:
        if path.name.startswith("damaged."):
            return
        if not path.name.isdigit():
            path.unlink(missing_ok=True)
            return
        try:
            note = read(_note(path), Note)
        except (OSError, Damaged):
            note = None
        if note is None:
            self.damaged += 1
            path.rename(path.with_name(f"damaged.{path.name}"))
            return
        self._number = max(self._number, _number(path.name))
        self._files[path.name] = Waiting(path=path, note=note)
        self.bytes += note.bytes


def _note(path: Path) -> Path:
    return path.with_name(path.name + _NOTE)


def _number(name: str) -> int:
    digits = name.partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _unusable(folder: Path, error: OSError) -> SpoolError:
    why = error.strerror or str(error)
    return SpoolError("cannot keep files for upload", where=str(folder), why=why, mend="free disk space")
