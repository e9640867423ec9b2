"""Secrets: in files of the device, or in the classic nucleus's Secret Manager."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta

from edgeloop.errors import EdgeloopError

LARGEST: Final = 4096
ARN: Final = "arn:"
Arn = Annotated[str, Meta(pattern=r"^(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]+:secret:[A-Za-z0-9/_+=.@-]+)?$")]
"""Of a secret, or nothing."""
_ask: list[Callable[[str], str]] = []


def asked_of(ask: Callable[[str], str]) -> None:
    """ask: the text of a secret by its ARN, raising EdgeloopError; of this process from here on."""
    _ask[:] = [ask]


def first_line(path: str, what: str = "password file") -> str:
    """The first line of a regular file that others may not touch, of 4 KiB at most, or of a secret by its ARN. Raises
    EdgeloopError, which shows nothing of it."""
    if path.startswith(ARN):
        return _of(path, what)
    try:
        descriptor = os.open(Path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            content = os.read(descriptor, LARGEST + 1) if stat.S_ISREG(mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        mend = "let the components' user read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError(f"cannot read the {what}", where=path, why=error.strerror or "", mend=mend) from None
    if not stat.S_ISREG(mode):
        raise EdgeloopError(f"the {what} is no regular file", where=path, mend="correct its path")
    if mode & stat.S_IRWXO:
        raise EdgeloopError(f"everybody may read the {what}", where=path, why="it is no secret",
                            mend=f"chmod 640 {path}, with the components' group")  # fmt: skip
    try:
        line = content.decode("utf-8").partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise EdgeloopError(f"the {what} is no UTF-8 text", where=path) from None
    if not line or len(content) > LARGEST:
        why = "its first line is empty" if not line else f"more than {LARGEST} bytes"
        raise EdgeloopError(f"the {what} holds no secret", where=path, why=why)
    return line


def _of(arn: str, what: str) -> str:
    if not _ask:
        raise EdgeloopError(f"cannot read the {what}", where=arn, why="only a component of a classic nucleus can")
    try:
        line = _ask[0](arn).partition("\n")[0].rstrip("\r")
    except EdgeloopError as error:
        mend = "add aws.greengrass.SecretManager with this secret to the deployment; nucleus lite has none: use a file"
        raise EdgeloopError(f"cannot read the {what}", where=arn, why=error.why or error.what, mend=mend) from None
    if not line:
        raise EdgeloopError(f"the {what} holds no secret", where=arn, why="its first line is empty")
    return line
