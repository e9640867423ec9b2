"""The store: which model is active. Written by ModelUpdate alone, read by whoever infers.

`store/<name>/pointer.json`, replaced in one step, and beside it the packages' folders, named by their digests.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop import durable
from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Digest
from edgeloop.models.versions import older

OWNER: Final = "io.edgeloop.ModelUpdate"
POINTER: Final = "pointer.json"

State = Literal["probation", "committed", "rolled_back"]


class Ref(msgspec.Struct, frozen=True, kw_only=True):
    """A package in the store and the variant of it to use (its place in the manifest)."""

    digest: Digest
    version: str
    variant: int = 0


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """generation: counts activations, also those back. active: None where the default model is to serve. previous:
    what served before, as long as a way back is needed. since: ns UTC of the last change. highest: the version, of all
    that were ever committed."""

    schema: Literal[1] = 1
    name: str
    generation: int
    active: Ref | None
    previous: Ref | None
    state: State
    since: int
    highest: str = ""


def directory(root: Path, name: str) -> Path:
    """The folder of a model in the store, below a nucleus's root."""
    return root / "work" / OWNER / "store" / name


def read(folder: Path) -> Pointer | None:
    """None where nothing was ever activated. Raises ModelError where the file is no pointer."""
    path = folder / POINTER
    try:
        return durable.read(path, Pointer)
    except OSError as error:
        raise ModelError("cannot read the model store", where=str(path), why=error.strerror or str(error)) from error
    except durable.Damaged as error:
        raise ModelError("the model store's pointer is damaged", where=str(path), why=error.why) from None


class Shelf:
    """One model's part of the store, for its owner. Raises ModelError where it cannot be written."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        try:
            durable.make_folder(folder)
        except OSError as error:
            why = error.strerror or str(error)
            raise ModelError("cannot make the model store", where=str(folder), why=why) from error
        try:
            self.pointer = read(folder)
            self.damage = ""
        except ModelError as error:
            self.pointer, self.damage = None, str(error)

    def activate(self, ref: Ref | None, now: int) -> Pointer:
        """Makes it active, on probation; None lets the default model serve, at once and for good.

        What has proved itself is never lost: where that is what is wanted, it is active again, committed.
        """
        pointer = self.pointer
        if ref is None:
            return self._write(None, None, "committed", now)
        proved = pointer.previous if pointer and pointer.state == "probation" else pointer.active if pointer else None
        if pointer and pointer.state == "probation" and proved == ref:
            return self._write(ref, None, "committed", now)
        if pointer and proved == ref:
            return self._write(ref, pointer.previous, "probation", now)
        return self._write(ref, proved, "probation", now)

    def commit(self, now: int) -> Pointer:
        """The end of probation; the generation stays."""
        pointer = msgspec.structs.replace(self._known(), state="committed", since=now)
        return self._put(msgspec.structs.replace(pointer, highest=_mark(pointer)))

    @property
    def mark(self) -> str:
        """The highest version that was ever committed, or "": what is older is a step back."""
        return _mark(self.pointer) if self.pointer else ""

    def restore(self, ref: Ref, highest: str, now: int) -> Pointer:
        """What was committed last, where the pointer is damaged."""
        pointer = Pointer(
            name=self.name, generation=now, active=ref, previous=None, state="committed", since=now, highest=highest
        )
        return self._put(pointer)

    def roll_back(self, now: int) -> Pointer:
        """What served before is active again."""
        return self._write(self._known().previous, None, "rolled_back", now)

    def prune(self, keep: set[str]) -> list[str]:
        """Deletes packages that are neither active nor previous nor in `keep`, and what interrupted steps left. Returns
        the names. A reader that has one open keeps what it has."""
        pointer = self.pointer
        kept = {POINTER, *keep}
        if pointer:
            kept |= {ref.digest for ref in (pointer.active, pointer.previous) if ref}
        gone = [path for path in self.folder.iterdir() if path.name not in kept]
        for path in gone:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return [path.name for path in gone]

    def _known(self) -> Pointer:
        if self.pointer is None:
            raise ModelError("nothing is active yet", where=self.name)
        return self.pointer

    def _write(self, active: Ref | None, previous: Ref | None, state: State, now: int) -> Pointer:
        generation = self.pointer.generation + 1 if self.pointer else 1
        fresh = Pointer(
            name=self.name, generation=generation, active=active, previous=previous, state=state, since=now,
            highest=self.mark,
        )  # fmt: skip
        return self._put(msgspec.structs.replace(fresh, highest=_mark(fresh)))

    def _put(self, pointer: Pointer) -> Pointer:
        path = self.folder / POINTER
        try:
            durable.write(path, pointer, 0o644)
        except OSError as error:
            why = error.strerror or str(error)
            raise ModelError("cannot write the model store", where=str(path), why=why) from error
        self.pointer, self.damage = pointer, ""
        return pointer


def _mark(pointer: Pointer) -> str:
    active = pointer.active.version if pointer.active and pointer.state == "committed" else ""
    return active if not pointer.highest or (active and older(pointer.highest, active)) else pointer.highest
