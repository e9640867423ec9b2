"""What must survive a restart beside the files themselves, in one small file that is replaced as a whole."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import msgspec

from edgeloop.durable import Document
from stream_upload.capture import Alarmed
from stream_upload.ledger import Gap
from stream_upload.spool import Account, Waiting


class Segment(msgspec.Struct, kw_only=True):
    """A file of records. appended: byte up to which it is in Stream Manager; acknowledged: up to which it has arrived,
    or is in the spool; marks: (byte, sequence number) of what is between; seen: byte up to which alarms are known."""

    seen: int = 0
    appended: int = 0
    acknowledged: int = 0
    marks: list[tuple[int, int]] = []


class State(msgspec.Struct, kw_only=True):
    """serial counts savings. gaps: declared, in no file yet.

    accounts: by stream. flight: key of a file → sequence number of its task. status: next of the status stream.
    segments: by component and name of the file. objects, bytes: that have arrived. spent: bytes handed over, by kind,
    of each of the last 24 hours.
    """

    serial: int = 0
    accounts: dict[str, Account] = {}
    gaps: list[Gap] = []
    alarms: list[Alarmed] = []
    flight: dict[str, int] = {}
    status: int = 0
    segments: dict[str, dict[str, Segment]] = {}
    objects: int = 0
    bytes: int = 0
    spent: list[dict[str, int]] = []


LAZY: Final = 10.0
"""s between two savings where nothing but the account of the streams has gone on."""


class Saved:
    """The state on the disk; what has not changed but for `serial` is not written.

    How far streams are settled is found again from the journal, and is written every LAZY seconds; `current` says
    whether the last `save` left all of it on the disk.
    """

    def __init__(self, path: Path) -> None:
        self._file = Document(path, State, State)
        self._known = (b"", b"")
        self._at = 0.0
        self.current = False

    @property
    def damage(self) -> str:
        return self._file.damage

    def load(self) -> State:
        """A first state where there is none, or one that is damaged."""
        state = self._file.load()
        self._known, self.current = _content(state), True
        return state

    def save(self, state: State, *, lazily: bool = False) -> bool:
        """Whether it was written. Raises OSError, leaving the old."""
        content, now = _content(state), time.monotonic()
        if content == self._known and self._file.path.exists():
            self.current = True
            return False
        if lazily and content[1] == self._known[1] and now - self._at < LAZY:
            self.current = False
            return False
        self.current = False
        state.serial += 1
        self._file.save(state)
        self._known, self._at, self.current = content, now, True
        return True


def _content(state: State) -> tuple[bytes, bytes]:
    """The account of the streams, and the rest."""
    rest = msgspec.structs.replace(state, serial=0, accounts={}, gaps=[])
    return msgspec.json.encode((state.accounts, state.gaps)), msgspec.json.encode(rest)


def recover(state: State, files: tuple[Waiting, ...]) -> None:
    """Brings a state up to files that were made after it was saved."""
    for waiting in files:
        note = waiting.note
        if note.kind == "gaps" and note.serial > state.serial:
            state.gaps = []
        if note.until is not None:
            known = state.segments.setdefault(note.until.component, {})
            segment = known.setdefault(note.until.entry, Segment())
            segment.acknowledged = max(segment.acknowledged, note.until.offset)
            segment.appended = max(segment.appended, segment.acknowledged)
        for account in note.accounts:
            old = state.accounts.get(account.stream)
            if old is None or old.done < account.done:
                state.gaps += account.gaps
                state.accounts[account.stream] = account
