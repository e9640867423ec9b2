"""S3 export tasks: the message, its file, its key."""

from __future__ import annotations

import ctypes
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

_PLACEHOLDER = re.compile(r"!\{(\w+):([^{}]+)\}", re.ASCII)
_FIELDS = {"y": "year", "u": "year", "M": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}
_RESERVED = "$aws-gg-"


class TaskError(Exception):
    """The task can never succeed."""


class Task(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`stream_manager.S3ExportTaskDefinition`."""

    input_url: Annotated[str, Meta(min_length=1)]
    bucket: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]\Z")]
    key: Annotated[str, Meta(min_length=1, max_length=1024)]
    user_metadata: dict[str, str] | None = None

    @property
    def path(self) -> str:
        """
        >>> Task(input_url="file:///tmp/a%20b", bucket="bucket", key="k").path
        '/tmp/a b'
        """
        parts = urlsplit(self.input_url)
        if parts.scheme not in ("file", "") or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise TaskError(f"inputUrl {self.input_url} is no file: URL of this machine")
        return unquote(parts.path) if parts.scheme else self.input_url

    @property
    def metadata(self) -> dict[str, str]:
        found = {name.lower(): value for name, value in (self.user_metadata or {}).items()}
        reserved = sorted(name for name in found if name.startswith(_RESERVED))
        if reserved:
            raise TaskError(f"userMetadata {reserved[0]} starts with the reserved {_RESERVED}")
        return found


def parse(payload: bytes) -> Task:
    """Raises TaskError."""
    try:
        return msgspec.json.decode(payload, type=Task)
    except msgspec.MsgspecError as error:
        raise TaskError(f"the message is no S3ExportTaskDefinition: {error}") from None


def resolve_key(key: str, now: datetime) -> str:
    """A key with its `!{timestamp:…}` replaced by the time of upload (Java's DateTimeFormatter; numbers only).

    >>> resolve_key("a/!{timestamp:yyyy/MM/dd/HH}/b", datetime(2026, 11, 5, 7, tzinfo=UTC))
    'a/2026/11/05/07/b'
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] != "timestamp":
            raise TaskError(f"the key's {match[0]} stands for nothing")
        return re.sub(r"([a-zA-Z])\1*", lambda run: _number(run[0], now), match[2])

    return _PLACEHOLDER.sub(replace, key)


def _number(letters: str, now: datetime) -> str:
    letter, width = letters[0], len(letters)
    if letter == "D":
        return f"{now.timetuple().tm_yday:0{width}d}"
    if letter not in _FIELDS or (letter == "M" and width > 2):
        raise TaskError(f"the key's pattern letters {letters} are not known here")
    value = int(getattr(now, _FIELDS[letter]))
    return f"{value % 100:02d}" if letter in "yu" and width == 2 else f"{value:0{width}d}"


@contextmanager
def open_input(path: str, owner: tuple[int, int] | None) -> Iterator[int]:
    """The descriptor of a task's file, opened with the rights of a user (uid, gid). Raises OSError."""
    with _rights(owner):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TaskError(f"{path} is no file")
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _rights(owner: tuple[int, int] | None) -> Iterator[None]:
    """File access of this thread alone as another user (setfsuid(2)); its groups stay those of the process."""
    if owner is None:
        yield
        return
    libc = ctypes.CDLL(None)
    gid, uid = libc.setfsgid(owner[1]), libc.setfsuid(owner[0])
    try:
        yield
    finally:
        libc.setfsuid(uid)
        libc.setfsgid(gid)


def utc_now() -> datetime:
    return datetime.now(UTC)


def owner_of(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The user whose files may be uploaded: `EDGELOOP_COMPONENT_OWNER`, uid:gid.

    >>> owner_of({"EDGELOOP_COMPONENT_OWNER": "65534:65534"})
    (65534, 65534)
    """
    uid, _, gid = environment.get("EDGELOOP_COMPONENT_OWNER", "").partition(":")
    return (int(uid), int(gid)) if uid else None
