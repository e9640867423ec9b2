"""Documents in files: regular ones, of a bounded size, wherever a link leads."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, TypeVar, overload

from edgeloop.decode.bounds import OUTSIDE, Bounds, refused
from edgeloop.decode.text import document

T = TypeVar("T")


def content(path: Path, *, what: str = "a file", most: int = OUTSIDE.size) -> bytes:
    """The bytes of a regular file. Never waits: a FIFO, a device or a folder is refused.

    Raises DecodeError for what is no regular file or larger than `most`, OSError (FileNotFoundError where there is
    none) for what cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise refused(what, str(path), "it is no regular file")
        if about.st_size > most:
            raise refused(what, str(path), f"{about.st_size} bytes, {most} at most")
        data = bytearray()
        while len(data) <= most:
            block = os.read(descriptor, min(1 << 20, most + 1 - len(data)))
            if not block:
                return bytes(data)
            data += block
        raise refused(what, str(path), f"it grows while it is read, {most} bytes at most")
    except IsADirectoryError:
        raise refused(what, str(path), "it is a folder") from None
    finally:
        os.close(descriptor)


@overload
def file(path: Path, *, what: str = ..., bounds: Bounds = ..., strict: bool = ...) -> Any: ...


@overload
def file(path: Path, type: type[T], *, what: str = ..., bounds: Bounds = ..., strict: bool = ...) -> T: ...


def file(path: Path, type: Any = Any, *, what: str = "a file", bounds: Bounds = OUTSIDE, strict: bool = True) -> Any:
    """The JSON document in a file. Raises FileNotFoundError, and DecodeError for everything else."""
    try:
        data = content(path, what=what, most=bounds.size)
    except FileNotFoundError:
        raise
    except OSError as error:
        why = "a loop of links" if error.errno == errno.ELOOP else error.strerror or str(error)
        raise refused(what, str(path), why) from None
    return document(data, type, what=what, where=str(path), bounds=bounds, strict=strict)
