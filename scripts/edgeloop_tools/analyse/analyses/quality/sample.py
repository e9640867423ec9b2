"""A small upload with known truth: one of two monitors whose alarms are nearly all false."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from edgeloop.clock import NS
from edgeloop.layout import date
from edgeloop_tools.analyse.fleet import BEGAN

DAYS: Final = 20


def make(folder: Path) -> None:
    for day in range(DAYS):
        began = BEGAN + day * 86_400 * NS
        for monitor, reason in (("press1_noisy", "true" if day % 10 == 0 else "false"), ("press2_good", "true")):
            asset, id = monitor.partition("_")[0], f"a{day}-{monitor[:6]}"
            alarm = {
                "id": id, "monitor": monitor, "asset": asset, "kind": "process", "severity": "medium", "text": "t",
                "state": "raised", "raised_at": began, "time": began, "cause": {"stream": f"{asset}_vib"},
            }  # fmt: skip
            label = {
                "alarm": id, "monitor": monitor, "asset": asset, "kind": "process", "stream": f"{asset}_vib",
                "reason": reason, "by": "kim", "time": began + 60 * NS, "start": began, "end": began + NS,
            }  # fmt: skip
            for kind, said in (("alarms", alarm), ("alarms", alarm | {"state": "cleared"}), ("labels", label)):
                path = folder / f"records/site=a/kind={kind}/date={date(began)}/core7_AnomalyInference_{day}_0-1.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a") as file:
                    print(json.dumps({"device": "core7", "kind": kind, "document": said}), file=file)
