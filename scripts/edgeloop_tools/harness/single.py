"""One run at a time in a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeloop.errors import EdgeloopError


@contextmanager
def single(mark: Path, what: str) -> Iterator[None]:
    """Holds a lock on the file `mark`. Raises EdgeloopError, beginning with `what`, where another run has it."""
    with mark.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EdgeloopError(what, where=str(mark.parent), mend="wait for its end") from None
        yield
