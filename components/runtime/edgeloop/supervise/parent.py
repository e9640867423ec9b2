"""Who started this process: the run script of its recipe, and behind standard input the classic nucleus.

On classic, standard input is a pipe that the nucleus holds: when it hangs up the nucleus is dead, its successor starts
a second set of components, and this one has to go: at once, or, where it senses, when its successor is there and asks
for the work folder (a JVM takes seconds to start). On nucleus lite it is no pipe, and components outlive the nucleus's
daemons by design. The run script (`EDGELOOP_PARENT`, its process id) starts its child again; a child that has lost it
belongs to nobody.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections.abc import Callable
from typing import Final

VARIABLE: Final = "EDGELOOP_PARENT"
HUNG_UP: Final = 69
"""The exit code for the run script, which must not start another (EX_UNAVAILABLE)."""
_EVERY: Final = 500
"""ms between two looks at the parent's id; a hang-up is seen at once."""
_LOOK: Final = 0.05
HEIR: Final = 60.0
"""s until a successor must have come: one that has not in this time is not about to."""


class Parent:
    """Calls `gone(why)` once, on a thread of its own, when the parent or the nucleus behind standard input is gone.

    heir: whether a successor waits. After a hang-up it is waited for, and `hung_up` is set meanwhile.
    """

    def __init__(
        self, gone: Callable[[str], None], descriptor: int = 0, heir: Callable[[], bool] = lambda: True
    ) -> None:
        self._gone, self._descriptor, self._heir = gone, descriptor, heir
        self.hung_up = threading.Event()
        self._pid = _started_by()
        self._pipe = _is_pipe(descriptor)

    def start(self) -> None:
        if self._pipe or self._pid:
            threading.Thread(target=self._watch, name="parent", daemon=True).start()

    def _watch(self) -> None:
        poll = select.poll()
        if self._pipe:
            poll.register(self._descriptor, 0)
        while True:
            if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(_EVERY if self._pid else None)):
                self.hung_up.set()
                self._wait_for_heir()
                return self._gone("the nucleus is gone")
            if self._orphaned():
                return self._gone("the run script is gone")

    def _wait_for_heir(self) -> None:
        end = time.monotonic() + HEIR
        while not self._heir() and time.monotonic() < end and not self._orphaned():
            time.sleep(_LOOK)

    def _orphaned(self) -> bool:
        return self._pid > 0 and os.getppid() != self._pid


def _started_by() -> int:
    """The run script's process id; 0 where none started this process."""
    try:
        pid = int(os.environ.get(VARIABLE, "0"))
    except ValueError:
        return 0
    return pid


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
