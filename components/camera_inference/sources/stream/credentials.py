"""User and password of a camera, from a file of the device."""

from __future__ import annotations

import os
from pathlib import Path
from stat import S_IROTH
from urllib.parse import quote

from edgeloop.errors import EdgeloopError


def signed_in(uri: str, file: str) -> str:
    """The URI with the first line of `file`, `user:password`, in it. Raises EdgeloopError that shows neither."""
    user, password = read(file)
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def read(file: str) -> tuple[str, str]:
    """Raises EdgeloopError, also where all users of the device can read it."""
    try:
        with Path(file).open(encoding="utf-8", errors="strict") as stream:
            everybody = os.fstat(stream.fileno()).st_mode & S_IROTH
            line = stream.readline(4096).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror or "" if isinstance(error, OSError) else "it is no UTF-8 text"
        mend = "let the components' user read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError("cannot read the camera's credentials", where=file, why=why, mend=mend) from None
    if everybody:
        raise EdgeloopError("the camera's credentials are no secret", where=file, why="all users can read it",
                            mend=f"chmod 640 {file}, with the components' group")  # fmt: skip
    user, colon, password = line.partition(":")
    if not user or not colon:
        raise EdgeloopError("these are no credentials", where=file, mend="write one line, user:password")
    return user, password
