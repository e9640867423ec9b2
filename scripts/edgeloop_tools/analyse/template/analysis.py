"""An analysis of your own: `job` makes the big small, on the engine; `fit` does the rest, in pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgeloop_tools.analyse.definition import Answer, Finding, Parameter

TITLE: Final = "Days with too few hours of data"
VERSION: Final = "1"
PARAMETERS: Final = {"hours": Parameter(20, "hours a day that are expected", 1, 24)}


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """An Ibis expression over tables["indicators_1m"] and tables["indicators_1h"]: time, device, asset, type, stream,
    clock, channel, indicator, unit, n, mean, min, max, site, date."""
    t = tables["indicators_1h"]
    t = t.mutate(day=t.time.truncate("D"))
    return t.group_by(["site", "device", "asset", "day"]).aggregate(hours=t.time.nunique()).order_by(["site", "day"])


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: a pandas.DataFrame with what `job` gives."""
    short = frame[frame.hours < p["hours"]]
    findings = [
        Finding(
            row.site, row.device, row.asset, "", "", "few_hours", "low",
            f"{row.hours} hours of data on {row.day:%Y-%m-%d}", f"{row.day:%Y-%m-%d}", f"{row.day:%Y-%m-%d}",
            {"hours": int(row.hours)},
        )
        for row in short.itertuples()
    ]  # fmt: skip
    return Answer(frame, findings)
