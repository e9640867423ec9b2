"""How many bytes may still go up in these 24 hours, by kind."""

from __future__ import annotations

import time
from typing import Final, Literal

from stream_upload.configuration import Configuration

Kind = Literal["records", "files", "samples"]
HOURS: Final = 24
_HOUR: Final = 3600.0


class Allowance:
    """`spend` for what is handed over; `allows` says whether more of a kind may be.

    spent: bytes by kind of each of the last hours, newest last; the caller keeps it across restarts. The time between
    two processes does not count, so that a restart never brings a new day. Records are counted and never held back:
    what they need beyond their share the others go without.
    """

    def __init__(self, spent: list[dict[str, int]]) -> None:
        self._spent = spent
        self._hour = time.monotonic()

    def spend(self, kind: Kind, size: int) -> None:
        self._turn()
        if not self._spent:
            self._spent.append({})
        self._spent[-1][kind] = self._spent[-1].get(kind, 0) + size

    def spent(self, kind: Kind | None = None) -> int:
        """Bytes of a kind, or of all, in the last 24 hours."""
        self._turn()
        return sum(sum(hour.values()) if kind is None else hour.get(kind, 0) for hour in self._spent)

    def allows(self, kind: Kind, size: int, configuration: Configuration) -> bool:
        """One file goes however large it is, where none of its kind has gone before."""
        day = int(configuration.day)
        if not day or kind == "records":
            return True
        own = self.spent(kind)
        return not own or (self.spent() + size <= day and own + size <= day * configuration.shares.of(kind))

    def _turn(self) -> None:
        """The hours that have passed."""
        passed = int((time.monotonic() - self._hour) // _HOUR)
        if passed:
            self._hour += passed * _HOUR
            if self._spent:
                self._spent += [{} for _ in range(min(passed, HOURS))]
                del self._spent[:-HOURS]
