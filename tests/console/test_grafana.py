"""The dashboard asks for what `/metrics` gives, by the labels it has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "components" / "console" / "grafana" / "edgeloop.json"


def test_every_panel_asks_for_a_metric_that_is_there(line: Any) -> None:
    told = line.ask("/metrics", token=line.token).body.decode()
    labels = {
        m[1]: set(re.findall(r'(\w+)="', m[2] or "")) | {"instance"}
        for m in re.finditer(r"^(edgeloop_\w+)(\{[^}]*\})? ", told, re.MULTILINE)
    }
    board = json.loads(DASHBOARD.read_text())
    asked = [target for panel in board["panels"] for target in panel["targets"]]
    assert len(board["panels"]) == len({panel["id"] for panel in board["panels"]}) >= 7
    for target in asked:
        names = re.findall(r"edgeloop_\w+", target["expr"])
        assert names, target
        for name in names:
            assert name in labels, f"{name} is none of /metrics"
            used = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            used |= {word for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in by.split(", ")}
            assert used <= labels[name], target
    assert {name for name in labels if name.startswith("edgeloop_")} == {
        name for target in asked for name in re.findall(r"edgeloop_\w+", target["expr"])
    }, "a metric that no panel shows"
