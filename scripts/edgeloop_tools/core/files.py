"""Writing files that a crash leaves whole: the old one or the new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Replace `path` atomically; `durable` also survives a power cut."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.chmod(temporary, mode)
    os.replace(temporary, path)
    if durable:
        sync_folder(path.parent)


def copy(source: Path, target: Path, mode: int, owner: tuple[int, int] | None) -> None:
    """Replace `target` atomically by a copy of `source`; the running programs keep what they have open."""
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    shutil.copyfile(source, temporary)
    if owner:
        os.chown(temporary, *owner)
    os.chmod(temporary, mode)
    os.replace(temporary, target)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
