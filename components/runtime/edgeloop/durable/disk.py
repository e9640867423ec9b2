"""The few steps on a disk from which all else is made. Each raises OSError, and leaves the old where it can."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final, cast

NEW: Final = ".new"
"""Ends the name of what is not whole yet."""


def replace(path: Path, content: bytes, mode: int = 0o600, *, sync: bool = True, name: bool = True) -> None:
    """A reader, and with `sync` a power cut, see the old content or the new.

    name: whether a power cut after this returned leaves the new; without it perhaps the old.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{NEW}")
    try:
        with File(temporary, mode, fresh=False) as file:
            file.write(content)
            if sync:
                file.sync()
        os.replace(temporary, path)
    except OSError:
        remove(temporary)
        raise
    if sync and name:
        sync_folder(path.parent)


def place(new: Path, path: Path) -> None:
    """What is whole and synced gets its name, and keeps it."""
    os.rename(new, path)
    sync_folder(path.parent)


def remove(path: Path) -> None:
    """A file or a folder; harmless where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """With those above it; what is made has its name on the disk."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent, mode)
    try:
        os.mkdir(folder, mode)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """The names in a folder, to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Raw(io.RawIOBase):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        written = os.write(self._descriptor, memoryview(cast("bytes", data)))
        self.position += written
        return written

    def tell(self) -> int:
        return self.position

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


class File:
    """A new file to be written from its begin; fresh: it must not be there yet.

        with File(path) as file:
            file.write(content)
            file.sync()
    """

    def __init__(self, path: Path, mode: int = 0o600, *, fresh: bool = True) -> None:
        kind = os.O_EXCL if fresh else os.O_TRUNC
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | kind | os.O_CLOEXEC, mode)
        self.raw = _Raw(self._descriptor)
        self.stream: BinaryIO = cast("BinaryIO", io.BufferedWriter(self.raw, 1 << 18))

    def write(self, content: bytes | memoryview) -> None:
        self.stream.write(content)

    def sync(self) -> int:
        """To the disk; the bytes written."""
        self.stream.flush()
        os.fsync(self._descriptor)
        return self.raw.position

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stream.close()
        except OSError:
            self.raw.close()
            raise


def put(descriptor: int, data: bytes, at: int) -> None:
    """All of it at a byte; where it raises, perhaps a part."""
    done = 0
    while done < len(data):
        count = os.pwrite(descriptor, data[done:] if done else data, at + done)
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done += count
