"""What StreamUpload has released of one queue, in a file of StreamUpload's."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgeloop import decode
from edgeloop.files import replace
from edgeloop.queue.folder import QueueError


class Released(msgspec.Struct, kw_only=True):
    """Every number up to `through`, and those in `also`.

    >>> released = Released()
    >>> for number in (1, 3, 2, 5): released.add(number)
    >>> released.through, released.also, 4 in released, 5 in released
    (3, [5], False, True)
    """

    through: int = 0
    also: list[int] = []

    def __contains__(self, number: int) -> bool:
        return number <= self.through or number in self.also

    def add(self, number: int) -> None:
        if number in self:
            return
        self.also = sorted([*self.also, number])
        self.skip_to(self.through)

    def skip_to(self, number: int) -> None:
        """Nothing up to a number is there any more."""
        self.through = max(self.through, number)
        self.also = [other for other in self.also if other > self.through]
        while self.also and self.also[0] == self.through + 1:
            self.through = self.also.pop(0)

    @classmethod
    def load(cls, path: Path) -> Released:
        """Nothing where there is no file. Raises QueueError where it cannot be read."""
        try:
            return decode.file(path, cls, bounds=decode.OWN)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError) as error:
            mend = "delete it; what is in the queue goes up again"
            raise QueueError("what was uploaded is not known", where=str(path), why=str(error), mend=mend) from error

    def save(self, path: Path) -> None:
        """Raises OSError, leaving the old."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(path, msgspec.json.encode(self), 0o600)
