"""The kinds of sources, one folder each, found by the scheme of a URI; here or among the line's plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl

from camera_inference.sources.base import Options, Source
from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from edgeloop.plugins import Types

CLIPS = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".mjpeg", ".ts"}
STILLS = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".gif", ".ppm", ".pgm", ".pnm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """What a URI says: the type of the source, where, and its options. credentials: path of a file, or empty.
    patience: s without a frame. rate: frames a second, where the source asks for them."""

    kind: type[Source[Any]]
    place: str
    options: Options
    credentials: str = ""
    patience: float = 5.0
    transport: str = "tcp"
    rate: float = 0.0


def scheme(uri: str) -> tuple[str, str]:
    """A bare path is a device, a file or a folder.

    >>> [scheme(uri)[0] for uri in ("rtsp://host/1", "/dev/video0", "/data/a.MP4", "/images", "simulator:?seed=7")]
    ['rtsp', 'v4l2', 'file', 'folder', 'simulator']
    """
    head, colon, rest = uri.partition(":")
    if colon and head.replace("+", "").isalnum() and "/" not in head:
        return head.lower(), rest
    path = uri.partition("?")[0]
    if path.startswith("/dev/video"):
        return "v4l2", uri
    return ("file" if PurePath(path).suffix.lower() in CLIPS | STILLS else "folder"), uri


class Registry:
    """The types that could be imported; a type that could not is an error only of those who use it."""

    def __init__(self, on_failure: Callable[[str], None], package: str = __name__, outside: str = "") -> None:
        """outside: a folder of plug-ins, guarded by the caller; empty: none."""
        self._schemes: dict[str, type[Source[Any]]] = {}
        types: Types[Source[Any]] = Types("source", package, "cameras", Source, on_failure, outside)
        for name in types.names:
            try:
                self.add(types.get(name, name))
            except ValueError as error:
                on_failure(f"the source type {name} cannot be used: {error}")

    def add(self, kind: type[Source[Any]]) -> None:
        """Raises ValueError where one of its schemes is taken."""
        if taken := sorted(self._schemes.keys() & set(kind.schemes)):
            raise ValueError(f"the scheme {taken[0]}: is there already")
        self._schemes |= dict.fromkeys(kind.schemes, kind)

    @property
    def schemes(self) -> tuple[str, ...]:
        return tuple(sorted(self._schemes))

    def find(self, uri: str, where: str, credentials: str = "") -> Place:
        """Raises ConfigurationError."""
        name, rest = scheme(uri)
        kind = self._schemes.get(name)
        if kind is None:
            mend = f"one of: {', '.join(self.schemes)}, or a path"
            raise ConfigurationError("no source takes this URI", where=where, why=f"{name}:", mend=mend)
        if credentials:
            _check_credentials(name, rest, kind, where)
        if kind.whole:
            whole = f"{name}:{rest}" if name != "v4l2" else rest
            return Place(kind, whole, convert({}, kind.options, where), credentials)
        place, _, query = rest.partition("?")
        given = dict(parse_qsl(query, keep_blank_values=True))
        if place.startswith("//"):
            place = place[2:] if place.startswith("///") else place
        return Place(kind, place, convert(given, kind.options, where))


def _check_credentials(name: str, rest: str, kind: type[Source[Any]], where: str) -> None:
    """Raises ConfigurationError."""
    if name not in kind.authenticated:
        raise ConfigurationError("nobody asks for credentials", where=where, why=f"{name}: takes no credentials_file",
                                 mend="leave it out; it is for rtsp, rtsps, http and https")  # fmt: skip
    if not rest.startswith("//"):
        raise ConfigurationError("no host to sign in to", where=where, mend=f"write {name}://host/path")
    if "@" in rest[2:].partition("/")[0]:
        raise ConfigurationError("user and password are given twice", where=where,
                                 mend="leave them out of the URI, credentials_file has them")  # fmt: skip
