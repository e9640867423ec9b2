from __future__ import annotations

import os
import subprocess
import sys
import time

from edgeloop_tools.harness.processes import Meter, cpu_seconds, owner, pss_bytes, tree

BUSY = """
import os, time
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print("done", flush=True)
time.sleep(60)
"""


def test_own_memory_and_owner() -> None:
    assert pss_bytes(os.getpid()) > 5_000_000
    assert owner(os.getpid()) == os.geteuid()


def test_a_process_that_is_gone_costs_nothing() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert tree([done.pid]) == []
    assert cpu_seconds(done.pid) is None
    assert Meter().sample("gone", [done.pid], 1.0).pss == 0


def test_cpu_time_of_a_restarted_component_adds_up() -> None:
    meter = Meter()
    start = time.monotonic()
    meter.sample("c", [], start)
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            usage = meter.sample("c", [child.pid], time.monotonic())
            assert usage.pss > 1_000_000
            child.kill()
    assert 0.55 < usage.cpu < 2
    assert usage.owners == {os.geteuid()}
