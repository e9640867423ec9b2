"""Static files, out of a folder or a zip application, kept in memory with their digests."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

TYPES: Final = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml", ".png": "image/png", ".json": "application/json",
}  # fmt: skip
_SMALL: Final = 512


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    packed: bytes
    media_type: str
    tag: str


class Assets:
    """Files by name, below one or several folders of packages, the first that has a name wins."""

    def __init__(self, *folders: tuple[str, str]) -> None:
        self._assets: dict[str, Asset] = {}
        for package, folder in reversed(folders):
            self._add(importlib.resources.files(package).joinpath(folder), "")

    def __contains__(self, name: str) -> bool:
        return name in self._assets

    def names(self) -> list[str]:
        return sorted(self._assets)

    def weight(self) -> int:
        """Bytes that all of them take on the wire."""
        return sum(len(asset.packed or asset.body) for asset in self._assets.values())

    def text(self, name: str) -> str:
        return self._assets[name].body.decode()

    def respond(self, request: Request, name: str, status: int = 200) -> Response:
        asset = self._assets[name]
        headers = {"Cache-Control": "no-cache", "ETag": asset.tag, "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == asset.tag:
            return Response(status_code=304, headers=headers)
        body = asset.body
        if asset.packed and "gzip" in request.headers.get("accept-encoding", ""):
            body, headers["Content-Encoding"] = asset.packed, "gzip"
        return Response(body, status, headers, asset.media_type)

    def _add(self, folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                if not entry.name.startswith("__"):
                    self._add(entry, f"{prefix}{entry.name}/")
                continue
            suffix = entry.name[entry.name.rfind(".") :]
            if suffix not in TYPES:
                continue
            body = entry.read_bytes()
            packed = gzip.compress(body, 9, mtime=0) if len(body) > _SMALL and suffix != ".png" else b""
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            self._assets[prefix + entry.name] = Asset(body, packed, TYPES[suffix], tag)
