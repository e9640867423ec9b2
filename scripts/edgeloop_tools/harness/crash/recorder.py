"""Records what is done to the files of a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

Kind = Literal["create", "write", "truncate", "sync", "syncdir", "rename", "unlink", "mkdir", "attempt", "promise"]


@dataclass(frozen=True, slots=True)
class Operation:
    """path, to: relative to the folder; node: of a file's content; number: of an attempt or a promise; power: whether
    it was promised against a power cut, not only against a death of the process."""

    kind: Kind
    path: str = ""
    to: str = ""
    node: int = -1
    at: int = 0
    data: bytes = b""
    number: int = -1
    power: bool = True


_CALLS: Final = (
    "open", "close", "write", "pwrite", "pwritev", "ftruncate", "fsync", "fdatasync", "rename", "replace", "unlink",
    "remove", "mkdir", "rmdir",
)  # fmt: skip


class Recorder:
    """Within its `with` block the calls of `os` are recorded that concern the folder, which is empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.operations: list[Operation] = []
        self._lock = threading.RLock()
        self._real: dict[str, Callable[..., Any]] = {}
        self._nodes: dict[str, int] = {}
        self._opened: dict[int, tuple[str, int, int]] = {}
        self._count = 0

    def attempt(self, number: int) -> None:
        self._add(Operation("attempt", number=number))

    def promise(self, number: int, *, power: bool = True) -> None:
        """What was attempted under a number has returned."""
        self._add(Operation("promise", number=number, power=power))

    def __enter__(self) -> Self:
        for name in _CALLS:
            self._real[name] = getattr(os, name)
            setattr(os, name, getattr(self, f"_{name}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _add(self, operation: Operation) -> None:
        with self._lock:
            self.operations.append(operation)

    def _name(self, path: Any, dir_fd: int | None = None) -> str | None:
        """Relative to the folder; None for what is elsewhere."""
        text = os.fspath(path)
        text = text.decode() if isinstance(text, bytes) else str(text)
        if dir_fd is not None and not os.path.isabs(text):
            base = self._opened.get(dir_fd)
            if base is None:
                return None
            return os.path.normpath(f"{base[0]}/{text}")
        relative = os.path.relpath(os.path.abspath(text), self.folder)
        return None if relative.startswith("..") else relative

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._lock:
            descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            name = self._name(path, dir_fd)
            if name is None:
                return descriptor
            if flags & os.O_CREAT and name not in self._nodes:
                self._count += 1
                self._nodes[name] = self._count
                self._add(Operation("create", name, node=self._count))
            node = self._nodes.get(name, -1)
            if flags & os.O_TRUNC and node >= 0:
                self._add(Operation("truncate", name, node=node))
            self._opened[descriptor] = name, node, 0
            return descriptor

    def _close(self, descriptor: int) -> None:
        with self._lock:
            self._opened.pop(descriptor, None)
            self._real["close"](descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        with self._lock:
            written: int = self._real["write"](descriptor, data)
            if descriptor in self._opened:
                name, node, at = self._opened[descriptor]
                self._add(Operation("write", name, node=node, at=at, data=bytes(data)[:written]))
                self._opened[descriptor] = name, node, at + written
            return written

    def _pwrite(self, descriptor: int, data: Any, at: int) -> int:
        return self._pwritev(descriptor, [data], at)

    def _pwritev(self, descriptor: int, parts: Sequence[Any], at: int) -> int:
        with self._lock:
            written: int = self._real["pwritev"](descriptor, parts, at)
            if descriptor in self._opened:
                name, node, _ = self._opened[descriptor]
                data = b"".join(bytes(part) for part in parts)[:written]
                self._add(Operation("write", name, node=node, at=at, data=data))
            return written

    def _ftruncate(self, descriptor: int, size: int) -> None:
        with self._lock:
            self._real["ftruncate"](descriptor, size)
            if descriptor in self._opened:
                name, node, _ = self._opened[descriptor]
                self._add(Operation("truncate", name, node=node, at=size))

    def _fsync(self, descriptor: int) -> None:
        with self._lock:
            if descriptor in self._opened:
                name, node, _ = self._opened[descriptor]
                self._add(Operation("sync" if node >= 0 else "syncdir", name, node=node))

    _fdatasync = _fsync

    def _rename(self, source: Any, to: Any) -> None:
        with self._lock:
            self._real["rename"](source, to)
            old, new = self._name(source), self._name(to)
            if old is None or new is None:
                return
            self._add(Operation("rename", old, new, node=self._nodes.get(old, -1)))
            for name in list(self._nodes):
                if name == old or name.startswith(f"{old}/"):
                    self._nodes[new + name[len(old) :]] = self._nodes.pop(name)

    _replace = _rename

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["unlink"](path, dir_fd=dir_fd)
            name = self._name(path, dir_fd)
            if name is not None:
                self._nodes.pop(name, None)
                self._add(Operation("unlink", name))

    _remove = _unlink

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            name = self._name(path, dir_fd)
            if name is not None:
                self._add(Operation("mkdir", name))

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["rmdir"](path, dir_fd=dir_fd)
            name = self._name(path, dir_fd)
            if name is not None:
                self._add(Operation("unlink", name))
