"""How well this device's clock is kept, as the kernel says it without privileges."""

from __future__ import annotations

import os
import time

from edgeloop import clock
from edgeloop.kernelclock import discipline
from edgeloop.wire.batch import Clock

STAMPS = ("/run/systemd/timesync/synchronized", "/var/lib/chrony/drift", "/var/lib/ntp/ntp.drift")
REFRESH = 10.0


def quality() -> Clock:
    """This device's clock: `ntp` while something keeps it (a PTP daemon too: the kernel does not tell), else `free`."""
    kept = discipline()
    if kept is None:
        return Clock("free")
    return Clock("ntp", offset=kept.offset, uncertainty=kept.uncertainty, synced_at=_synced_at())


def _synced_at() -> int:
    newest = 0
    for stamp in STAMPS:
        try:
            newest = max(newest, os.stat(stamp).st_mtime_ns)
        except OSError:
            continue
    return min(newest, clock.now())


class DeviceClock:
    """`quality`, asked again every 10 s."""

    def __init__(self) -> None:
        self._value, self._asked = quality(), time.monotonic()

    @property
    def value(self) -> Clock:
        if time.monotonic() - self._asked >= REFRESH:
            self._value, self._asked = quality(), time.monotonic()
        return self._value
