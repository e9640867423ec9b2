"""One JSON document in a file that is replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from edgeloop import decode
from edgeloop.documents import encode
from edgeloop.durable.disk import make_folder, replace
from edgeloop.durable.seal import seal, unseal
from edgeloop.errors import DecodeError, EdgeloopError

T = TypeVar("T")
Older = Callable[[Any], Any]
"""From a document as an older version wrote it, as plain values, to today's; ValueError where it is none."""


class Damaged(EdgeloopError):
    """A file that is not what was written there."""


def read(path: Path, type: type[T], older: Older | None = None) -> T | None:
    """A document that perhaps another process writes; None where there is none. Raises Damaged, and OSError where the
    file cannot be read."""
    try:
        content = unseal(decode.content(path, most=decode.OWN.size).strip())
        if older is None:
            return decode.document(content, type, bounds=decode.OWN)
        return msgspec.convert(older(decode.document(content, bounds=decode.OWN)), type)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except DecodeError as error:
        raise Damaged("a file is damaged", where=str(path), why=error.why) from None
    except ValueError as error:
        raise Damaged("a file is damaged", where=str(path), why=str(error)) from None


def write(path: Path, value: Any, mode: int = 0o600, *, sync: bool = True) -> None:
    """A document that is replaced as a whole, whether it changed or not. sync: see `replace`. Raises OSError."""
    replace(path, seal(encode(value)), mode, sync=sync)


class Document(Generic[T]):
    """The owner's side. It is written only where it changed, and is then on the disk.

    A file that cannot be used is set aside as `<name>.damaged`, and `fresh()` stands for it; `damage` says so.
    older: brings what an older version wrote up to today's form. name: see `replace`.
    """

    def __init__(
        self,
        path: Path,
        type: type[T],
        fresh: Callable[[], T],
        *,
        older: Older | None = None,
        mode: int = 0o600,
        name: bool = True,
    ) -> None:
        self.path, self._type, self._fresh, self._older = path, type, fresh, older
        self._mode, self._name = mode, name
        self._written: bytes | None = None
        self.damage = ""

    def load(self) -> T:
        self.damage = ""
        try:
            found = read(self.path, self._type, self._older)
        except Damaged as error:
            self.damage = f"{error}; set aside as {self._set_aside()}"
        except OSError as error:
            self.damage = f"cannot read {self.path}: {error.strerror or error}"
        else:
            return self._fresh() if found is None else found
        return self._fresh()

    def save(self, value: T) -> bool:
        """Whether there was something to write. Raises OSError, leaving the old."""
        content = seal(encode(value))
        if content == self._written and self.path.exists():
            return False
        self._written = None
        make_folder(self.path.parent)
        replace(self.path, content, self._mode, name=self._name)
        self._written = content
        return True

    def _set_aside(self) -> str:
        to = self.path.with_suffix(".damaged")
        try:
            os.replace(self.path, to)
        except OSError as error:
            return f"nothing: {error.strerror}"
        return to.name
