from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from edgeloop.wire.batch import Batch, Channel

Make = Callable[..., Batch]


@pytest.fixture
def make() -> Make:
    """A batch whose samples are their own indexes."""

    def batch(epoch: int, index: int, rows: int = 10, stream: str = "press1_vib", time: int | None = None) -> Batch:
        samples = np.arange(index, index + rows, dtype="<i4").reshape(rows, 1)
        start = index * 1_000_000 if time is None else time
        return Batch(stream, epoch, index, start, (Channel("x"),), samples, rate=Fraction(1000))

    return batch


class Disk:
    """A place for a journal whose room a test takes and gives."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int) -> None:
        raise NotImplementedError

    def free(self) -> None:
        raise NotImplementedError


class LimitedFiles(Disk):
    """No file may grow beyond a size (RLIMIT_FSIZE): writes end at that very byte."""

    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, leave: int) -> None:
        newest = max(self.path.rglob("*.cborseq"), default=None)
        size = newest.stat().st_size if newest else 0
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + leave, self.before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


class SmallDisk(Disk):
    """A file system of 1 MiB."""

    def fill(self, leave: int) -> None:
        with (self.path / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                filler.truncate(max(0, filler.tell() - -(-leave // 4096) * 4096))

    def free(self) -> None:
        (self.path / "filler").unlink(missing_ok=True)


def _mount(path: Path) -> bool:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(params=["limited files", "small disk"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """The small disk is one of limited files where this user may not mount."""
    mounted = request.param == "small disk" and _mount(tmp_path / "disk")
    found: Disk = SmallDisk(tmp_path / "disk") if mounted else LimitedFiles(tmp_path)
    try:
        yield found
    finally:
        found.free()
        if mounted:
            subprocess.run(["umount", "-l", str(found.path)], check=True)
