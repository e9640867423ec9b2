"""A day of a line's own time in an hour, with faults of every kind meanwhile: what is lost, doubled, grown, untrue."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from edgeloop_tools.bench.suite import CHECKOUT, show
from edgeloop_tools.build import build
from edgeloop_tools.core.environment import CLOCK, clock_mover
from edgeloop_tools.harness import soak
from edgeloop_tools.harness.broker import Broker
from edgeloop_tools.harness.line import Line

LONG = True
EXTRAS = ("dev",)
MINUTES: Final = 50.0
"""Of faults; installing before, and what waits for its upload behind, take the rest of an hour."""
HOURS: Final = 24.0
INSTALLED: Final = 600.0
"""s."""


def run(minutes: float = MINUTES, hours: float = HOURS, seed: int = 1) -> Mapping[str, Any]:
    """Raises EdgeloopError where there is no mosquitto or the line does not come up. Clock steps need faketime."""
    with tempfile.TemporaryDirectory(prefix="edgeloop-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        clock = folder / "clock"
        clock.write_text("+0\n")
        os.environ[CLOCK] = str(clock)
        try:
            build()
            with Broker(folder / "broker") as broker, Line(folder / "core") as line:
                plan = soak.plan(broker, seed)
                deployment = line.deploy(
                    CHECKOUT / "recipes", CHECKOUT / "artifacts", plan.roots, soak.merge(plan)
                )
                line.core.wait(deployment, timeout=INSTALLED)
                moved = clock if clock_mover() else None
                soaked = soak.Soak(line, broker, seed, clock=moved, say=lambda text: print(text, flush=True))
                verdict = soaked.run(60 * minutes, hours, folder / "bucket")
        finally:
            del os.environ[CLOCK]
    return {"goals": soak.goals(verdict), **asdict(verdict)}


if __name__ == "__main__":
    print(show(run()))
