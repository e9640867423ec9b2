"""When an indicator meets its limit: a line with autocorrelated noise, continued; or why that cannot be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop_tools.analyse.definition import Answer, Chart, Finding, Parameter

TITLE: Final = "Days until an indicator meets its limit"
VERSION: Final = "1"
PARAMETERS: Final = {
    "limit": Parameter(float("nan"), "the limit, in the indicator's unit; must be given"),
    "indicator": Parameter("", "such as velocity; none: all"),
    "channel": Parameter("", "such as x; none: all"),
    "type": Parameter("", "only assets of this type, such as press"),
    "side": Parameter("above", "where the limit is met: above or below", choices=("above", "below")),
    "horizon": Parameter(90, "days ahead; what is later is not said", 1, 730),
    "window": Parameter(90, "last days that are looked at", 14, 730),
    "coverage": Parameter(0.8, "of the prediction interval", 0.5, 0.99),
}
DAYS: Final = 14
"""Days below which nothing is said."""
DRAWS: Final = 2000
TREND: Final = 0.005
"""Chance of a trend where there is none, for each series."""
BEND: Final = 0.001
"""Chance of a bend where there is none, for each series."""


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """The mean of each day, by asset and indicator."""
    t = tables["indicators_1h"]
    for name in ("type", "indicator", "channel"):
        if p[name]:
            t = t.filter(t[name] == p[name])
    t = t.mutate(day=t.time.truncate("D"), total=t["mean"] * t.n)
    keys = ["site", "device", "asset", "stream", "channel", "indicator", "unit", "day"]
    days = t.group_by(keys).aggregate(n=t.n.sum(), total=t.total.sum())
    return days.mutate(value=days.total / days.n).select(*keys, "value").order_by(keys)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Days from the last one to the limit; `said`: yes, met, or why not; infinite: beyond the horizon."""

    said: str
    days: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    slope: float = float("nan")

    @property
    def there(self) -> bool:
        return self.said in ("yes", "met")


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: the columns of `job`. Raises EdgeloopError where no limit is given."""
    np, pd = optional.load("numpy", "forecast"), optional.load("pandas", "forecast")
    limit = float(p["limit"])
    if limit != limit:
        raise EdgeloopError("no limit", where="forecast", mend="give -p limit=7.1, with -p indicator=… or -p channel=…")
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    charts: list[Chart] = []
    keys = ["site", "device", "asset", "stream", "channel", "indicator", "unit"]
    for key, group in frame.groupby(keys, sort=True):
        days = ((group.day - group.day.iloc[0]).dt.total_seconds() / 86_400).round().to_numpy(dtype=int)
        values = group.value.to_numpy(dtype=float)
        found = outlook(days, values, limit, p)
        row = dict(zip(keys, key, strict=True)) | {
            "limit": limit, "last": values[-1], "slope": found.slope, "days": found.days, "low": found.low,
            "high": found.high, "said": found.said,
        }  # fmt: skip
        rows.append(row)
        if found.there:
            findings.append(_finding(row, found, group.day, p))
            if len(charts) < 12:
                line = {"mean of the day": [(float(d), float(v)) for d, v in zip(days, values, strict=True)]}
                charts.append(Chart(f"{key[0]} {key[2]}: {key[4]} {key[5]} (days)", line, {"limit": limit}))
    silent = sum(row["said"] not in ("yes", "met") for row in rows)
    notes = [f"{silent} of {len(rows)} series: nothing is said; the column `said` has the reason"] if silent else []
    table = pd.DataFrame(rows).replace([np.inf], np.nan)
    return Answer(table, findings, charts, notes)


def outlook(days: Any, values: Any, limit: float, p: Mapping[str, Any]) -> Outlook:
    """days: whole, rising; values: a mean a day."""
    np = optional.load("numpy", "forecast")
    t = optional.load("scipy.stats", "forecast").t
    sign = 1.0 if p["side"] == "above" else -1.0
    near = days > days[-1] - int(p["window"])
    x, y = days[near].astype(float), sign * values[near]
    limit = sign * limit
    if len(x) < DAYS:
        return Outlook(f"no: {len(x)} days, {DAYS} are needed")
    if (y[-3:] >= limit).all():
        return Outlook("met", 0.0, 0.0, 0.0)
    x = x - x[-1]
    line = np.vstack([np.ones_like(x), x]).T
    phi, level, covariance, noise, rest = _line(np, x, y, line)
    slope, error = sign * float(level[1]), float(np.sqrt(covariance[1, 1]))
    free = len(x) - 3
    if error == 0.0 or level[1] / error < t.ppf(1 - TREND, free):
        return Outlook("no: no trend towards the limit", slope=slope)
    _, bent, spread, _, _ = _line(np, x, y, np.vstack([line.T, (x - x.mean()) ** 2]).T)
    if abs(bent[2]) / np.sqrt(spread[2, 2]) > t.ppf(1 - BEND / 2, free - 1):
        return Outlook("no: the trend bends, a line does not hold", slope=slope)
    random = np.random.default_rng(1)
    horizon = int(p["horizon"])
    scale = np.sqrt(free / random.chisquare(free, DRAWS))[:, None]
    drawn = level + scale * (random.standard_normal((DRAWS, 2)) @ np.linalg.cholesky(covariance).T)
    state = np.full(DRAWS, rest)
    first = np.full(DRAWS, np.inf)
    for day in range(1, horizon + 1):
        state = phi * state + noise * scale[:, 0] * random.standard_normal(DRAWS)
        met = drawn[:, 0] + drawn[:, 1] * day + state >= limit
        first = np.where(np.isinf(first) & met, day, first)
    middle = float(np.median(first))
    low, high = _shortest(np, first, float(p["coverage"]))
    if np.isinf(middle):
        return Outlook(f"no: not within {horizon} days", slope=slope)
    return Outlook("yes", middle, low, high, slope)


def _shortest(np: Any, first: Any, coverage: float) -> tuple[float, float]:
    """The shortest interval of whole days that holds this share; infinite where it reaches beyond the horizon."""
    ordered = np.sort(first)
    count = int(np.ceil(coverage * len(ordered)))
    ends = ordered[count - 1 :]
    begins = ordered[: len(ends)]
    wide = np.where(np.isinf(ends), np.inf, ends - np.where(np.isinf(begins), 0.0, begins))
    at = int(np.argmin(wide))
    if np.isinf(wide[at]):
        return float(np.quantile(first, 1 - coverage, method="inverted_cdf")), float("inf")
    return float(begins[at]), float(ends[at])


def _line(np: Any, x: Any, y: Any, design: Any) -> tuple[float, Any, Any, float, float]:
    """Autocorrelation from day to day, coefficients, their covariance, noise of a day, last residual: least squares of
    what is left of each day after the one before (Prais-Winsten), the correlation's bias taken out."""
    estimate = 0.0
    steps = np.diff(x)
    for _ in range(4):
        keep = estimate**steps
        weight = np.sqrt((1 - estimate**2) / np.maximum(1 - keep**2, 1e-9)) if estimate else np.ones_like(steps)
        first = np.sqrt(1 - estimate**2)
        a = np.vstack([first * design[:1], weight[:, None] * (design[1:] - keep[:, None] * design[:-1])])
        b = np.concatenate([first * y[:1], weight * (y[1:] - keep * y[:-1])])
        level, *_ = np.linalg.lstsq(a, b, rcond=None)
        residual = y - design @ level
        one = steps == 1
        power = float((residual**2).sum()) or 1.0
        raw = float((residual[1:] * residual[:-1])[one].sum()) / power * len(x) / max(int(one.sum()), 1)
        estimate = float(np.clip(raw + (2 + 4 * raw) / len(x), 0.0, 0.95))
    error = b - a @ level
    variance = float(error @ error) / (len(x) - design.shape[1] - 1)
    return estimate, level, variance * np.linalg.pinv(a.T @ a), float(np.sqrt(variance)), float(residual[-1])


def _finding(row: Mapping[str, Any], found: Outlook, days: Any, p: Mapping[str, Any]) -> Finding:
    unit = "" if row["unit"] in ("", "1") else f" {row['unit']}"
    what = f"{row['channel']} {row['indicator']}" if row["indicator"] != "value" else str(row["channel"])
    limit = f"its limit of {row['limit']:.4g}{unit}"
    if found.said == "met":
        words, severity = f"{what} has met {limit}", "high"
    else:
        late = f"{found.high:.0f}" if found.high != float("inf") else f"more than {p['horizon']}"
        words = f"{what} meets {limit} in {found.days:.0f} days ({p['coverage']:.0%}: {found.low:.0f} to {late})"
        severity = "high" if found.days <= 7 else "medium" if found.days <= 30 else "low"
    evidence = {
        "days": found.days, "low": found.low, "high": found.high if found.high != float("inf") else None,
        "slope_a_day": None if found.slope != found.slope else round(found.slope, 6), "last": round(row["last"], 6),
    }  # fmt: skip
    return Finding(
        row["site"], row["device"], row["asset"], row["channel"], row["indicator"], "forecast",
        severity,  # type: ignore[arg-type]
        words, f"{days.iloc[0]:%Y-%m-%d}", f"{days.iloc[-1]:%Y-%m-%d}", evidence,
        row["stream"].removesuffix("_indicators"),
    )  # fmt: skip
