"""Numbers for Prometheus: the text exposition format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from console.live import Live

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = {"ok": 1}


def exposition(live: Live, components: list[dict[str, Any]], gaps: int) -> str:
    return "\n".join(_lines(live, components, gaps)) + "\n"


def _lines(live: Live, components: list[dict[str, Any]], gaps: int) -> Iterator[str]:
    yield "# HELP edgeloop_component_healthy 1 where a component says that it is well."
    yield "# TYPE edgeloop_component_healthy gauge"
    for one in components:
        yield f"edgeloop_component_healthy{{component={quoted(one['name'])}}} {_STATES.get(one['state'], 0)}"
    yield "# HELP edgeloop_component_memory_bytes Resident memory."
    yield "# TYPE edgeloop_component_memory_bytes gauge"
    for one in components:
        if one["memory_mb"] is not None:
            yield f"edgeloop_component_memory_bytes{{component={quoted(one['name'])}}} {one['memory_mb'] * 1e6:.0f}"
    yield "# HELP edgeloop_component_cpu_seconds_total Processor time since the start."
    yield "# TYPE edgeloop_component_cpu_seconds_total counter"
    for one in components:
        if one["cpu_s"] is not None:
            yield f"edgeloop_component_cpu_seconds_total{{component={quoted(one['name'])}}} {one['cpu_s']}"
    yield "# HELP edgeloop_open_alarms Open alarms by severity."
    yield "# TYPE edgeloop_open_alarms gauge"
    alarms = [alarm for alarm in live.alarms() if alarm.open]
    for severity in ("low", "medium", "high", "critical"):
        count = sum(alarm.severity == severity for alarm in alarms)
        yield f"edgeloop_open_alarms{{severity={quoted(severity)}}} {count}"
    yield "# HELP edgeloop_monitor_score Display score of a monitor, 0 to 1, higher is more anomalous."
    yield "# TYPE edgeloop_monitor_score gauge"
    for name, result in live.monitors().items():
        yield f"edgeloop_monitor_score{{monitor={quoted(name)}}} {float(result.get('score', 0.0)):g}"
    yield "# HELP edgeloop_parts_total Verdicts of a camera."
    yield "# TYPE edgeloop_parts_total counter"
    for camera, counts in live.counts().items():
        for verdict, count in sorted(counts.items()):
            yield f"edgeloop_parts_total{{camera={quoted(camera)},verdict={quoted(verdict)}}} {count}"
    yield "# HELP edgeloop_console_gaps_total Pieces of the journal that were gone before they were read."
    yield "# TYPE edgeloop_console_gaps_total counter"
    yield f"edgeloop_console_gaps_total {gaps}"


def quoted(text: str) -> str:
    r"""
    >>> print(quoted('a"b'))
    "a\"b"
    """
    return '"' + text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'
