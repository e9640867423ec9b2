"""The line as it is: assets with their worst state, configuration as components remember it, models, the machine."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from console.live import QUIET, Health, Live
from edgeloop import clock
from edgeloop.alarms import Alarm
from edgeloop.alarms.alarm import SEVERITIES
from edgeloop.durable import Damaged, read
from edgeloop.log import redact
from edgeloop.models import report, store
from edgeloop.models.errors import ModelError

REMEMBERED: Final = "configuration.json"
PAGES: Final = ("AnomalyInference", "CameraInference", "SensorIngest", "ModelUpdate", "StreamUpload", "VideoUpload")
EXPECTED: Final = ("AnomalyInference", "SensorIngest")
STALE: Final = 30.0
"""s after which a monitor's newest result is old."""


class Line:
    """Reads; nothing here changes anything."""

    def __init__(self, root: Path, live: Live) -> None:
        self._root, self._live = root, live

    def configuration(self, component: str) -> dict[str, Any]:
        """What a component last had, as it remembers it; empty where there is none."""
        path = self._root / "work" / f"io.edgeloop.{component}" / REMEMBERED
        try:
            return read(path, dict[str, Any]) or {}
        except (OSError, Damaged):
            return {}

    def settings(self) -> dict[str, dict[str, Any]]:
        found = {name: self.configuration(name) for name in PAGES}
        return {name: shown(settings) for name, settings in found.items() if settings}

    def monitors(self) -> dict[str, dict[str, Any]]:
        return _maps(self.configuration("AnomalyInference").get("monitors"))

    def cameras(self) -> dict[str, dict[str, Any]]:
        return _maps(self.configuration("CameraInference").get("cameras"))

    def watched(self) -> frozenset[str]:
        """Streams of monitors."""
        return frozenset(s for m in self.monitors().values() for s in str(m.get("input", "")).split())

    def assets(self) -> list[dict[str, Any]]:
        """Each with its state, worst first: alarms, what is blind, what learns, what is well."""
        monitors, cameras = self.monitors(), self.cameras()
        results = self._live.monitors()
        found: dict[str, dict[str, Any]] = {}
        for id, monitor in monitors.items():
            asset = found.setdefault(str(monitor.get("asset", id)), {"monitors": [], "cameras": []})
            asset["monitors"].append(_monitor(id, monitor, results.get(id)))
        for id, camera in cameras.items():
            asset = found.setdefault(str(camera.get("asset") or id), {"monitors": [], "cameras": []})
            parts = self._live.parts([id])
            counts = self._live.counts().get(id, {})
            asset["cameras"].append({"id": id, "last": parts[0] if parts else None, "counts": counts})
        waiting = [a for a in self._live.alarms() if (a.open or a.unseen) and not a.held_by]
        for alarm in waiting:
            found.setdefault(alarm.asset or alarm.monitor, {"monitors": [], "cameras": []})
        listed = [
            {"id": id, **_state([a for a in waiting if (a.asset or a.monitor) == id], asset), **asset}
            for id, asset in found.items()
        ]
        return sorted(listed, key=lambda asset: (-asset["rank"], asset["id"]))

    def components(self) -> list[dict[str, Any]]:
        healths = self._live.healths()
        listed = []
        for name in dict.fromkeys((*healths, *EXPECTED)):
            health = healths.get(name)
            document = health.document if health else {}
            state = _component_state(health, self._live.heard_for)
            process = document.get("process") or {}
            listed.append({
                "name": name, "state": state, "problems": document.get("problems", []),
                "uptime_s": document.get("uptime_s"), "memory_mb": process.get("memory_mb"),
                "cpu_s": process.get("cpu_s"), "heard_s": round(time.monotonic() - health.heard, 1) if health else None,
                "upload": document.get("upload"), "gauges": document.get("gauges", {}),
                "counters": document.get("counters", {}),
            })  # fmt: skip
        return listed

    def machine(self) -> dict[str, Any]:
        disk = shutil.disk_usage(self._root)
        memory = _meminfo()
        return {
            "time_ms": clock.now() // 1_000_000,
            "disk_bytes": disk.total, "disk_free_bytes": disk.free,
            "memory_bytes": memory.get("MemTotal", 0), "memory_available_bytes": memory.get("MemAvailable", 0),
            "load": round(os.getloadavg()[0], 2), "cores": os.cpu_count() or 1,
            "thing": os.environ.get("AWS_IOT_THING_NAME") or "unknown",
        }  # fmt: skip

    def models(self) -> list[dict[str, Any]]:
        folder = self._root / "work" / store.OWNER / "store"
        wanted = _maps(self.configuration("ModelUpdate").get("models"))
        names = sorted({*wanted, *(p.name for p in folder.glob("*") if (p / store.POINTER).exists())})
        return [self._model(name, wanted.get(name)) for name in names]

    def _model(self, name: str, wanted: dict[str, Any] | None) -> dict[str, Any]:
        try:
            pointer, damage = store.read(store.directory(self._root, name)), ""
        except ModelError as error:
            pointer, damage = None, str(error)
        return {
            "name": name,
            "desired": shown(wanted) if wanted else None,
            "state": pointer.state if pointer else "default",
            "active": msgspec.to_builtins(pointer.active) if pointer and pointer.active else None,
            "previous": msgspec.to_builtins(pointer.previous) if pointer and pointer.previous else None,
            "since_ms": pointer.since // 1_000_000 if pointer else None,
            "damage": damage,
            "used": [
                {"component": r.component, "fate": r.fate, "reason": r.reason, "origin": r.origin,
                 "serving": r.serving, "inferences": r.inferences, "failures": r.failures}
                for r in report.all_of(self._root, name)
            ],
        }  # fmt: skip


def shown(settings: dict[str, Any]) -> dict[str, Any]:
    """A configuration without policies, and without what is or may be a secret.

    >>> shown({"accessControl": {}, "uri": "rtsp://u:p@host/x", "n": 1})
    {'uri': 'rtsp://u:***@host/x', 'n': 1}
    """
    return {name: redact(value, name) for name, value in settings.items() if name != "accessControl"}


def _maps(value: Any) -> dict[str, dict[str, Any]]:
    return {str(k): v for k, v in value.items() if isinstance(v, dict)} if isinstance(value, dict) else {}


def _monitor(id: str, settings: dict[str, Any], result: dict[str, Any] | None) -> dict[str, Any]:
    age = time.monotonic() - result["received"] if result else None
    state = "blind" if age is None or age > STALE else str(result["state"]) if result else "blind"
    return {
        "id": id, "input": settings.get("input", ""), "budget": settings.get("budget", ""), "state": state,
        "score": result.get("score", 0.0) if result else None,
        "return_time": result.get("return_time") if result else None,
        "learned": result.get("learned", 1.0) if result else None,
        "attribution": result.get("attribution", []) if result else [],
        "age_s": round(age, 1) if age is not None else None,
    }  # fmt: skip


def _state(alarms: list[Alarm], asset: dict[str, Any]) -> dict[str, Any]:
    """The worst that is to be said of an asset, as a rank, a state and the alarm that says it."""
    loud = [a for a in alarms if a.open and a.state != "shelved"]
    unseen = [a for a in alarms if a.unseen]
    if loud:
        worst = max(loud, key=lambda a: (a.state == "raised", SEVERITIES.index(a.severity), a.first_out, -a.raised_at))
        rank = 10 + 10 * SEVERITIES.index(worst.severity) + 5 * (worst.state == "raised")
        return {"rank": rank, "state": worst.severity, "alarms": len(loud), "worst": msgspec.to_builtins(worst)}
    if unseen:
        return {"rank": 4, "state": "unseen", "alarms": len(unseen), "worst": msgspec.to_builtins(unseen[-1])}
    states = {m["state"] for m in asset["monitors"]}
    for rank, state in ((9, "blind"), (3, "learning"), (2, "shadow"), (1, "idle")):
        if state in states:
            return {"rank": rank, "state": state, "alarms": 0, "worst": None}
    return {"rank": 0, "state": "well", "alarms": 0, "worst": None}


def _component_state(health: Health | None, heard_for: float) -> str:
    """Health comes every 10 s: who was not heard of since this process began is not yet absent."""
    if health is None:
        return "absent" if heard_for > QUIET else "unheard"
    return "silent" if health.silent else str(health.document.get("state", "ok"))


def _meminfo() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
