from __future__ import annotations

import os
import signal
import threading
import time

from edgeloop.signals import Signals


def test_signals_reach_the_thread_and_the_old_handlers_come_back() -> None:
    seen: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    signals = Signals(seen.append)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        os.kill(os.getpid(), number)
    deadline = time.monotonic() + 60
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    signals.close()
    assert sorted(seen) == [signal.SIGINT, signal.SIGTERM, signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_event_may_be_held_by_the_thread_that_is_interrupted() -> None:
    stop = threading.Event()
    signals = Signals(lambda number: stop.set())
    ends = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM))
    ends.start()
    while not stop.wait(1e-6):
        pass
    signals.close()
    ends.join()
