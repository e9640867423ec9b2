"""What must survive a restart beside the files themselves, in one small file that is replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeloop import decode
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.files import replace
from stream_upload.capture import Alarmed
from stream_upload.ledger import Gap
from stream_upload.spool import Account, Waiting


class Segment(msgspec.Struct, kw_only=True):
    """A file of records. appended: byte up to which it is in Stream Manager; acknowledged: up to which it has arrived,
    or is in the spool; marks: (byte, sequence number) of what is in between; seen: byte up to which alarms are known;
    since: ns UTC of the last file of it."""

    since: int = 0
    seen: int = 0
    appended: int = 0
    acknowledged: int = 0
    marks: list[tuple[int, int]] = []


class State(msgspec.Struct, kw_only=True):
    """serial counts savings. gaps: declared, in no file yet, since `gaps_since` (ns UTC).

    accounts: by stream. flight: key of a file → sequence number of its task. status: next of the status stream.
    segments: by component and name of the file. objects, bytes: that have arrived.
    """

    serial: int = 0
    accounts: dict[str, Account] = {}
    gaps: list[Gap] = []
    gaps_since: int = 0
    alarms: list[Alarmed] = []
    flight: dict[str, int] = {}
    status: int = 0
    segments: dict[str, dict[str, Segment]] = {}
    objects: int = 0
    bytes: int = 0


def load(path: Path) -> State:
    """A first state where there is none. Raises EdgeloopError where the file is damaged."""
    try:
        return decode.file(path, State, bounds=decode.OWN)
    except FileNotFoundError:
        return State()
    except OSError as error:
        raise EdgeloopError("cannot read what was uploaded", where=str(path), why=error.strerror or "") from error
    except DecodeError as error:
        mend = "delete it; what is in the journal goes up again"
        raise EdgeloopError("what was uploaded is not known", where=str(path), why=str(error), mend=mend) from error


def save(path: Path, state: State) -> None:
    """Raises OSError, leaving the old."""
    state.serial += 1
    replace(path, msgspec.json.encode(state), 0o600)


def recover(state: State, files: tuple[Waiting, ...]) -> None:
    """Brings a state up to files that were made after it was saved."""
    for waiting in files:
        note = waiting.note
        if note.kind == "gaps" and note.serial > state.serial:
            state.gaps = []
        if note.until is not None:
            known = state.segments.setdefault(note.until.component, {})
            segment = known.setdefault(note.until.entry, Segment(since=note.made))
            segment.acknowledged = max(segment.acknowledged, note.until.offset)
            segment.appended = max(segment.appended, segment.acknowledged)
        for account in note.accounts:
            old = state.accounts.get(account.stream)
            if old is None or old.done < account.done:
                state.gaps += account.gaps
                state.accounts[account.stream] = account
