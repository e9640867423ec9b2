"""What operators say: acknowledge, shelve, unshelve. JSON on `edgeloop/commands/alarms`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edgeloop import topics
from edgeloop.alarms.alarm import Reason
from edgeloop.decode import document

Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Name = Annotated[str, Meta(max_length=64)]


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="acknowledge"):
    """Seen. The reason is a label: a true alarm, a false one, maintenance, or a process change (learn again)."""

    id: Id
    reason: Reason
    by: Name = ""


class Shelve(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="shelve"):
    """Silent until a time (ns UTC)."""

    id: Id
    until: int
    by: Name = ""


class Unshelve(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", tag="unshelve"):
    id: Id
    by: Name = ""


Command = Acknowledge | Shelve | Unshelve
_COMMAND: Any = Command


def parse(payload: bytes) -> Command:
    """Bytes of a command; EdgeloopError for anything else.

    >>> parse(b'{"command": "acknowledge", "id": "a018bcfe5687b-7e04", "reason": "true"}')
    Acknowledge(id='a018bcfe5687b-7e04', reason='true', by='')
    """
    command: Command = document(payload, _COMMAND, what="an alarm command", where=topics.ALARM_COMMANDS)
    return command
