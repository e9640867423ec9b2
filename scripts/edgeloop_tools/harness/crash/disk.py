"""The folders that a crash may leave."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from edgeloop_tools.harness.crash.recorder import Operation

MOST: Final = 12
"""Operations, the last ones, of which each is left out or done alone."""
_DATA: Final = ("write", "truncate")
_NAMES: Final = ("create", "rename", "unlink", "mkdir")

Tear = Literal["", "half", "zeros"]


@dataclass
class State:
    """A folder after a crash. prefix: operations before it; killed: only the process died. attempted and promised: the
    numbers before the crash."""

    prefix: int
    killed: bool
    attempted: frozenset[int]
    promised: frozenset[int]
    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"."})

    def make(self, folder: Path) -> None:
        """On a real disk."""
        for name in sorted(self.folders):
            if self._reached(os.path.dirname(name) or "."):
                (folder / name).mkdir(parents=True, exist_ok=True)
        for name, node in self.names.items():
            if self._reached(os.path.dirname(name) or "."):
                (folder / name).write_bytes(self.contents.get(node, b""))

    def _reached(self, name: str) -> bool:
        while name != ".":
            if name not in self.folders:
                return False
            name = os.path.dirname(name) or "."
        return True

    @property
    def key(self) -> object:
        files = sorted((name, self.contents.get(node, b"")) for name, node in self.names.items())
        return self.killed, tuple(files), tuple(sorted(self.folders)), self.promised, self.attempted


def states(operations: Sequence[Operation]) -> Iterator[State]:
    """Each once: after every prefix, with all, none, all but one or one alone of what was not synced, and the last
    write torn or zeros."""
    seen: set[object] = set()
    for prefix in range(len(operations) + 1):
        if 0 < prefix < len(operations) and operations[prefix - 1].kind in ("sync", "syncdir"):
            continue
        before = operations[:prefix]
        pending = _pending(before)
        tail = pending[-MOST:]
        every = set(pending)
        chosen: list[tuple[set[int], Tear, bool]] = [(every, "", True), (every, "", False), (set(), "", False)]
        chosen += [(every - {one}, "", False) for one in tail]
        chosen += [({one}, "", False) for one in tail]
        chosen += [(every - set(tail[at:]), "", False) for at in range(1, len(tail))]
        if any(before[at].kind == "write" for at in tail):
            chosen += [(every, "half", False), (every, "zeros", False)]
        for kept, tear, killed in chosen:
            state = _after(before, set(pending) - kept, tear, killed)
            if (key := state.key) not in seen:
                seen.add(key)
                yield state


def weakened(operations: Sequence[Operation], kind: Literal["sync", "syncdir", "rename"]) -> list[Operation]:
    """As of a program that never syncs files, or folders, or that writes in place where it should rename."""
    if kind != "rename":
        return [operation for operation in operations if operation.kind != kind]
    made: list[Operation] = []
    spare = 1_000_000
    for at, operation in enumerate(operations):
        if operation.kind != "rename" or operation.node < 0:
            made.append(operation)
            continue
        content = _after(operations[:at], set(), "", True).contents.get(operation.node, b"")
        spare += 1
        half = len(content) // 2
        made += [
            Operation("create", operation.to, node=spare),
            Operation("write", operation.to, node=spare, data=content[:half]),
            Operation("write", operation.to, node=spare, at=half, data=content[half:]),
            Operation("sync", operation.to, node=spare),
            Operation("unlink", operation.path),
        ]
    return made


def _pending(operations: Sequence[Operation]) -> list[int]:
    """Places of the operations that no sync has brought to the disk."""
    synced_nodes: set[int] = set()
    synced_folders: set[str] = set()
    pending: list[int] = []
    for at in range(len(operations) - 1, -1, -1):
        operation = operations[at]
        if operation.kind == "sync":
            synced_nodes.add(operation.node)
        elif operation.kind == "syncdir":
            synced_folders.add(operation.path)
        elif operation.kind in _DATA:
            if operation.node not in synced_nodes:
                pending.append(at)
        elif operation.kind in _NAMES and _folder(operation) not in synced_folders:
            pending.append(at)
    return pending[::-1]


def _folder(operation: Operation) -> str:
    return os.path.dirname(operation.to or operation.path) or "."


def _after(operations: Sequence[Operation], missing: set[int], tear: Tear, killed: bool) -> State:
    attempted = frozenset(o.number for o in operations if o.kind == "attempt")
    promised = frozenset(o.number for o in operations if o.kind == "promise" and (o.power or killed))
    state = State(len(operations), killed, attempted, promised)
    pending = set(_pending(operations)) if tear else set()
    last = max((at for at in pending - missing if operations[at].kind == "write"), default=-1) if tear else -1
    for at, operation in enumerate(operations):
        if at in missing:
            continue
        if operation.kind == "write":
            data = operation.data
            if at == last:
                data = bytes(len(data)) if tear == "zeros" else data[: len(data) // 2]
            old = state.contents.get(operation.node, b"").ljust(operation.at, b"\0")
            state.contents[operation.node] = old[: operation.at] + data + old[operation.at + len(data) :]
        elif operation.kind == "truncate":
            state.contents[operation.node] = state.contents.get(operation.node, b"")[: operation.at].ljust(
                operation.at, b"\0"
            )
        elif operation.kind == "create":
            state.names[operation.path] = operation.node
        elif operation.kind == "mkdir":
            state.folders.add(operation.path)
        elif operation.kind == "unlink":
            _gone(state, operation.path)
        elif operation.kind == "rename":
            _moved(state, operation)
    return state


def _gone(state: State, path: str) -> None:
    state.names.pop(path, None)
    state.folders.discard(path)


def _moved(state: State, operation: Operation) -> None:
    old, new = operation.path, operation.to
    if operation.node >= 0:
        state.names.pop(old, None)
        state.names[new] = operation.node
        return
    if old in state.folders:
        state.folders = {new + f[len(old) :] if f == old or f.startswith(f"{old}/") else f for f in state.folders}
    state.names = {new + n[len(old) :] if n.startswith(f"{old}/") else n: node for n, node in state.names.items()}
