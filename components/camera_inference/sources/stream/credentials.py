"""User and password of a camera, from a file of the device."""

from __future__ import annotations

from urllib.parse import quote

from edgeloop.errors import EdgeloopError
from edgeloop.secret import first_line


def signed_in(uri: str, file: str) -> str:
    """The URI with the first line of `file`, `user:password`, in it. Raises EdgeloopError that shows neither."""
    user, password = read(file)
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"


def read(file: str) -> tuple[str, str]:
    """Raises EdgeloopError, also where all users of the device can read it."""
    user, colon, password = first_line(file, "file of the camera's credentials").partition(":")
    if not user or not colon:
        raise EdgeloopError("these are no credentials", where=file, mend="write one line, user:password")
    return user, password
