"""What alarms were worth: how many, how many answered, how many of those true, by monitor; and a budget that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgeloop import optional
from edgeloop_tools.analyse.definition import Answer, Chart, Finding, Parameter

TITLE: Final = "What alarms were worth"
VERSION: Final = "1"
TABLES: Final = ("labels", "alarms")
PARAMETERS: Final = {
    "answers": Parameter(8, "answers of a monitor below which nothing is said", 3, 1000),
    "false": Parameter(0.5, "share of false answers that is too much, by the lower end of its interval", 0.1, 0.95),
    "budget": Parameter("1 alarm/month", "what is proposed to a monitor whose alarms are mostly false"),
    "confidence": Parameter(0.95, "of the interval of a share", 0.5, 0.999),
}


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """A row an alarm: when it was raised, and the last answer."""
    keys = ["site", "device", "asset", "monitor", "kind"]
    a, said = tables["alarms"], tables["labels"]
    raised = a.group_by([*keys, "id"]).aggregate(time=a.raised_at.min())
    answered = said.group_by(["site", "device", "alarm"]).aggregate(reason=said.reason.argmax(said.time))
    joined = raised.left_join(
        answered, [raised.site == answered.site, raised.device == answered.device, raised.id == answered.alarm]
    )
    return joined.select(*keys, "id", "time", "reason").order_by([*keys, "time", "id"])


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: the columns of `job`."""
    pd = optional.load("pandas", "quality")
    days = frame.time.dt.floor("D")
    weeks = max((days.max() - days.min()).days + 1, 1) / 7
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    keys = ["site", "device", "asset", "monitor", "kind"]
    for key, group in frame.groupby(keys, sort=True):
        reasons = group.reason.dropna()
        true = int(reasons.isin(["true", "maintenance", "process_change"]).sum())
        false = int((reasons == "false").sum())
        low, high = share(false, true + false, float(p["confidence"]))
        row = dict(zip(keys, key, strict=True)) | {
            "alarms": len(group), "a_week": len(group) / weeks, "answered": true + false, "true": true, "false": false,
            "false_low": low, "false_high": high,
        }  # fmt: skip
        rows.append(row)
        if true + false < int(p["answers"]) or low < float(p["false"]) or row["kind"] == "fleet":
            continue
        said = f"{false} of {true + false} answers to alarms of {row['monitor']} ({row['kind']}) were `false`"
        held = {f"monitors.{row['monitor']}.budget": str(p["budget"])} if row["kind"] in ("process", "event") else {}
        findings.append(Finding(
            row["site"], row["device"], row["asset"], "", "", "false_alarms", "low",
            f"{said}: a budget of {p['budget']} would fit" if held else said,
            f"{days.min():%Y-%m-%d}", f"{days.max():%Y-%m-%d}",
            {"false": false, "answered": true + false, "low": round(low, 3), "high": round(high, 3)}, set=held,
        ))  # fmt: skip
    by = frame.assign(day=(days - days.min()).dt.days).groupby(["site", "day"]).size()
    series = {str(site): [(float(d), float(n)) for (_, d), n in part.items()] for site, part in by.groupby(level=0)}
    return Answer(pd.DataFrame(rows), findings, [Chart("Alarms a day, by site", series)])


def share(count: int, of: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share.

    >>> tuple(round(x, 3) for x in share(9, 10, 0.95)), share(0, 0, 0.95)
    ((0.555, 0.997), (0.0, 1.0))
    """
    beta = optional.load("scipy.stats", "quality").beta
    rest = (1 - confidence) / 2
    low = float(beta.ppf(rest, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - rest, count + 1, of - count)) if count < of else 1.0
    return low, high
