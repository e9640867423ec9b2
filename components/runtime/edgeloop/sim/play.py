"""A machine's streams as the ingest delivers them, as fast as they can be computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgeloop.clock import NS, rfc3339
from edgeloop.sequence import Sequencer
from edgeloop.sim.faults import Fault
from edgeloop.sim.machine import PLC, SLOW, VIBRATION, Machine
from edgeloop.wire.batch import Clock, Item


def play(
    machines: Sequence[Machine],
    duration: int,
    *,
    began: int = 1_700_000_000 * NS,
    tick: int = 50_000_000,
    epoch: int = 1,
) -> Iterator[tuple[int, list[Item]]]:
    """For each tick its end (ns after the start) and the items a subscriber gets; all in ns.

    Identity, time stamps and discontinuity flags come from the same code as on a device.
    """
    sequencers = {s.name: Sequencer(s, epoch) for m in machines for s in m.streams}
    clock = Clock("ntp", uncertainty=1_000_000)
    for start in range(0, duration, tick):
        end = min(start + tick, duration)
        items: list[Item] = []
        for machine in machines:
            for stream in (PLC, VIBRATION, SLOW):
                a, b = machine.count(stream, start), machine.count(stream, end)
                items += [sequencers[c.stream].next(c, clock) for c in machine.chunks(stream, a, b, began)]
        yield end, items


def truth(fault: Fault, state: str, began: int) -> Mapping[str, Any]:
    """A fault as the document on the truth topic. state: started | ended; began: ns UTC of the start."""
    return {
        "id": fault.id,
        "kind": fault.kind,
        "machine": fault.machine,
        "stream": f"{fault.machine}_{fault.stream}" if fault.stream else "",
        "channel": fault.channel,
        "start": began + fault.start,
        "end": began + fault.end,
        "start_rfc3339": rfc3339(began + fault.start),
        "severity": fault.severity,
        "form": fault.form,
        "step": fault.step,
        "state": state,
    }
