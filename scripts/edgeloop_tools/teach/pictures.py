"""Pictures to be taught from: of a folder, of S3, of a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from camera_inference.configuration import Policy, area
from camera_inference.frame import Colour, Pixels
from camera_inference.pictures import decode
from camera_inference.prepare import cut_of
from camera_inference.sources import STILLS, Registry
from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop.teach.shown import Shown

MOST: Final = 400
"""Pictures of a folder; of more, some spread evenly."""
PATIENCE: Final = 60.0
"""s without a new picture of a camera."""


def read(source: str, region: str, count: int) -> tuple[list[Shown], list[str]]:
    """Pictures, and lines about those that cannot be read. count: of a camera. Raises EdgeloopError."""
    try:
        cut = area(region)
    except ValueError as error:
        raise EdgeloopError("no region of a picture", where="--region", why=str(error)) from None
    lines: list[str] = []
    found = []
    for name, pixels in _taken(source, count, lines):
        rgb, _, _ = cut_of(pixels, cut)
        found.append(Shown(name, np.ascontiguousarray(rgb)))
    if not found and lines:
        raise EdgeloopError("no picture can be read", where=source, why=lines[0])
    return found, lines


def _taken(source: str, count: int, lines: list[str]) -> Iterator[tuple[str, Pixels]]:
    """Names and RGB pixels."""
    if source.startswith("s3://"):
        files = uploaded(source)
    elif (path := Path(source.removeprefix("folder:"))).is_dir():
        files = _files(path)
    elif ":" not in source and not source.startswith("/dev/"):
        mend = "correct its path, or name a camera"
        raise EdgeloopError("there is no such folder of pictures", where=source, mend=mend)
    else:
        yield from _camera(source, count)
        return
    for name, data in files:
        try:
            yield name, np.ascontiguousarray(decode(data, name)[:, :, ::-1])
        except EdgeloopError as error:
            lines.append(str(error))


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in STILLS and p.is_file())
    if not paths:
        raise EdgeloopError("the folder has no pictures", where=str(folder), why="none is called *.jpg, *.png, …")
    for path in _spread(paths):
        yield str(path.relative_to(folder)), path.read_bytes()


def _spread(names: list[Any]) -> list[Any]:
    return [names[k] for k in np.unique(np.linspace(0, len(names) - 1, min(MOST, len(names))).astype(int))]


def uploaded(source: str) -> Iterator[tuple[str, bytes]]:
    """Pictures below `s3://bucket/prefix`, as they come."""
    boto3 = optional.load("boto3", "reading pictures from S3")
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    client = boto3.client("s3")
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = sorted(o["Key"] for page in pages for o in page.get("Contents", ()))
        keys = [key for key in keys if PurePosixPath(key).suffix.lower() in STILLS]
        if not keys:
            raise EdgeloopError("there are no pictures", where=source, mend="check bucket and prefix")
        for key in _spread(keys):
            yield PurePosixPath(key).name, client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except EdgeloopError:
        raise
    except Exception as error:
        raise EdgeloopError("cannot read from S3", where=source, why=str(error), mend="try again") from error


class _Outlet:
    """Keeps what a camera gives until there is enough."""

    id, credentials_file, patience, transport, rate, last_part = "teach", "", 10.0, "tcp", 0.0, ""
    policy: Policy = "latest"

    def __init__(self, count: int) -> None:
        self.stop, self.changed = threading.Event(), threading.Condition()
        self.state = Path("/nonexistent")
        self.taken: list[Pixels] = []
        self.trouble = ""
        self.keep: Callable[[Any, int], None] | None = None
        self._count = count

    def enough(self, width: int, height: int) -> bool:
        return False

    def put(
        self, image: Pixels, colour: Colour, *, time: int = 0, part: str = "", jpeg: bytes = b"", scale: int = 1
    ) -> bool:
        with self.changed:
            if len(self.taken) < self._count:
                rgb = image if colour == "rgb" else image[..., ::-1] if image.ndim == 3 else image
                rgb = rgb if rgb.ndim == 3 else np.repeat(rgb[:, :, None], 3, axis=2)
                self.taken.append(np.ascontiguousarray(rgb))
            if len(self.taken) >= self._count:
                self.stop.set()
            self.changed.notify_all()
        return not self.stop.is_set()

    def missed(self, part: str, time: int, reason: str, *, blind: bool = True) -> None:
        self.trouble = reason

    def wait(self, seconds: float) -> bool:
        return self.stop.wait(seconds)

    def room(self) -> bool:
        return not self.stop.is_set()

    def publish(self, topic: str, document: Mapping[str, Any]) -> bool:
        return True

    def problem(self, line: str, part: str = "") -> None:
        self.trouble = line

    def clear(self, part: str = "") -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...


def _camera(uri: str, count: int) -> Iterator[tuple[str, Pixels]]:
    """The next pictures of a camera. Raises EdgeloopError where none come."""
    place = Registry(lambda line: None).find(uri, "--from")
    outlet = _Outlet(count)
    source = place.kind(place.place, place.options, outlet)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            source.setup()
            try:
                source.run()
            finally:
                source.close()
        except (EdgeloopError, OSError) as error:
            failure.append(error)
        finally:
            with outlet.changed:
                outlet.stop.set()
                outlet.changed.notify_all()

    thread = threading.Thread(target=work, name="teach-camera", daemon=True)
    thread.start()
    with outlet.changed:
        seen, since = 0, time.monotonic()
        while not outlet.stop.is_set() and time.monotonic() - since < PATIENCE:
            outlet.changed.wait(0.5)
            if len(outlet.taken) > seen:
                seen, since = len(outlet.taken), time.monotonic()
    outlet.stop.set()
    source.interrupt()
    thread.join(5)
    if not outlet.taken:
        why = str(failure[0]) if failure else outlet.trouble or f"nothing within {PATIENCE:g} s"
        raise EdgeloopError("the camera gives no picture", where=uri, why=why)
    yield from ((f"picture {number}", pixels) for number, pixels in enumerate(outlet.taken, 1))
