"""What StreamUpload has released of one queue, in a file of StreamUpload's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeloop.durable import Damaged, Document, read
from edgeloop.queue.folder import QueueError


class Released(msgspec.Struct, kw_only=True):
    """Every number up to `through`, and those in `also`.

    >>> released = Released()
    >>> for number in (1, 3, 2, 5): released.add(number)
    >>> released.through, released.also, 4 in released, 5 in released
    (3, {5}, False, True)
    """

    through: int = 0
    also: set[int] = msgspec.field(default_factory=set)

    def __contains__(self, number: int) -> bool:
        return number <= self.through or number in self.also

    def add(self, number: int) -> None:
        if number not in self:
            self.also.add(number)
            self._follow()

    def skip_to(self, number: int) -> None:
        """Nothing up to a number is there any more."""
        if number > self.through:
            self.through = number
            self.also = {other for other in self.also if other > number}
            self._follow()

    def _follow(self) -> None:
        while self.through + 1 in self.also:
            self.through += 1
            self.also.discard(self.through)


def document(path: Path) -> Document[Released]:
    """For StreamUpload, which writes it."""
    return Document(path, Released, Released)


def load(path: Path) -> Released:
    """For the queue's owner: nothing where there is no file. Raises QueueError where it cannot be read."""
    try:
        return read(path, Released) or Released()
    except (Damaged, OSError) as error:
        raise QueueError("what was uploaded is not known", where=str(path), why=str(error)) from error
