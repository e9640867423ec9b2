"""A deployed line: sample to alarm, bus, memory, CPU, seen from outside: `python tests/benchmarks/line.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from edgeloop_tools.bench.suite import show
from edgeloop_tools.demo.run import Options, measure

SECONDS = 45.0
BUS = 50
"""Messages a second at the default tick."""


def run() -> dict[str, Any]:
    """Two simulated machines, as the demo shows them; raises EdgeloopError where the line does not come up."""
    with tempfile.TemporaryDirectory() as folder:
        report, _ = measure(Options(duration=SECONDS, report=Path(folder) / "report.json", quiet=True))
    anomalies = report["anomalies"]
    components = report["components"].items()
    goal = {"goal": "messages on the bus, a line with everything", "at_most": BUS, "unit": "messages/s"}
    return {
        "goals": [{**goal, "figure": report["bus_messages_per_s"]}],
        "values_per_s": report["values_per_s"],
        "bus_messages_per_s": report["bus_messages_per_s"],
        "sample_to_alert_ms": anomalies["sample_to_alert_ms"],
        "onset_to_alert_ms": anomalies["onset_to_alert_ms"],
        "seconds_to_first_score": report["seconds_to_first_score"],
        "samples_lost": report["journal"]["lost"],
        "pss_mb_together": report["pss_mb_together"],
        "components": [
            {"name": name, "pss_mb": c["pss_mb"], "cpu_percent": c["cpu_percent"]}
            for name, c in components
            if c["pss_mb"]
        ],
    }


if __name__ == "__main__":
    print(show(run()))
