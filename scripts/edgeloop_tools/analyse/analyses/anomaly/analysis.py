"""What has changed over weeks, too slowly for the line: level, unrest, daily wave of each indicator, beside peers."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any, Final

from edgeloop import optional
from edgeloop_tools.analyse.definition import Answer, Chart, Finding, Parameter

TITLE: Final = "What has changed over weeks"
VERSION: Final = "1"
PARAMETERS: Final = {
    "window": Parameter(60, "last days that are looked at; the first half of them is the reference", 20, 730),
    "recent": Parameter(7, "last days that are compared with the reference", 2, 60),
    "alpha": Parameter(0.01, "chance of any false finding in a run", 1e-6, 0.2),
    "type": Parameter("", "only assets of this type, such as press"),
    "indicator": Parameter("", "only this indicator, such as rms"),
}
PEERS: Final = 5
"""Assets of a type from which on each day is seen beside the median of all; below it, beside the same weekday."""
LEAST: Final = 10
"""Days of a reference."""
LEAST_NOISE: Final = 1e-3
"""Of what is typical: what is constant to more than that is rounded somewhere."""
SHARED: Final = 20
"""Days for which the noise of all counts in that of one."""
_WORDS: Final = {"level": "level", "unrest": "unrest within a day", "wave": "daily wave"}
_KEYS: Final = ("type", "site", "device", "asset", "stream", "channel", "indicator", "unit")


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """Of each day: mean, deviation of its hours, and amplitude of its first harmonic."""
    t = tables["indicators_1h"]
    for name in ("type", "indicator"):
        if p[name]:
            t = t.filter(t[name] == p[name])
    angle = t.time.hour() * (2 * pi / 24)
    t = t.mutate(
        day=t.time.truncate("D"), total=t["mean"] * t.n, square=t["mean"] * t["mean"],
        cosine=t["mean"] * angle.cos(), sine=t["mean"] * angle.sin(),
    )  # fmt: skip
    keys = [*_KEYS, "day"]
    days = t.group_by(keys).aggregate(
        n=t.n.sum(), hours=t.n.count(), total=t.total.sum(), plain=t["mean"].mean(), square=t.square.mean(),
        cosine=t.cosine.mean(), sine=t.sine.mean(),
    )  # fmt: skip
    wave = 2 * (days.cosine * days.cosine + days.sine * days.sine).sqrt()
    spread = (days.square - days.plain * days.plain).clip(lower=0).sqrt()
    return days.mutate(level=days.total / days.n, unrest=spread, wave=wave).select(
        *keys, "hours", "level", "unrest", "wave"
    ).order_by(keys)  # fmt: skip


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: the columns of `job`."""
    np, pd = optional.load("numpy", "anomaly"), optional.load("pandas", "anomaly")
    norm = optional.load("scipy.stats", "anomaly").norm
    window, recent = int(p["window"]), int(p["recent"])
    frame = frame.assign(part=[s.removeprefix(a) for s, a in zip(frame.stream, frame.asset, strict=True)])
    rows: list[dict[str, Any]] = []
    drawn: dict[int, Any] = {}
    short = 0
    for key, group in frame.groupby(["type", "part", "channel", "indicator", "unit"], sort=True):
        for kind in _WORDS:
            values = group if kind == "level" else group[group.hours >= 12]
            if not len(values):
                continue
            table = values.pivot_table(index="day", columns=["site", "device", "asset"], values=kind).sort_index()
            table = table.iloc[-window:]
            reference = len(table) // 2
            enough = table.columns[table.iloc[:reference].notna().sum() >= LEAST]
            short += kind == "level" and table.shape[1] - len(enough)
            enough = [c for c in enough if table[c].iloc[-recent:].notna().sum() * 2 >= recent]
            if not enough or len(table) < reference + recent:
                continue
            apart = _apart(table[enough], reference)
            for asset, found in _tested(np, apart, reference, recent).items():
                site, device, machine = asset
                typical = float(table[asset].iloc[:reference].median())
                noise = max(found[1], LEAST_NOISE * abs(typical), 1e-12)
                drawn[len(rows)] = (key, kind, asset, table[asset], apart[asset])
                rows.append({
                    "site": site, "device": device, "asset": machine, "type": key[0], "stream": machine + key[1],
                    "channel": key[2], "indicator": key[3], "unit": key[4], "kind": kind, "change": found[0],
                    "noise": noise, "z": found[0] / noise, "typical": typical,
                    "peers": len(enough) - 1, "day": table.index[-1], "begin": table.index[0],
                })  # fmt: skip
    limit = float(norm.ppf(1 - float(p["alpha"]) / 2 / max(len(rows), 1)))
    findings: list[Finding] = []
    charts: list[Chart] = []
    for at, row in enumerate(rows):
        row["changed"] = abs(row["z"]) > limit
        if row["changed"]:
            _, kind, _, plain, apart_ = drawn[at]
            since = _since(apart_, len(plain) // 2, row)
            findings.append(_finding(row, since))
            if len(charts) < 12:
                line = [(float(d), float(v)) for d, v in enumerate(plain) if v == v]
                name = f"{row['site']} {row['asset']}: {row['channel']} {row['indicator']}, {_WORDS[kind]} (days)"
                charts.append(Chart(name, {row["asset"]: line}))
    columns = [*_KEYS[1:4], "type", "stream", "channel", "indicator", "unit", "kind", "change", "noise", "z", "typical",
               "peers", "changed"]  # fmt: skip
    notes = [f"{short} series with fewer than {LEAST} days of reference: nothing is said"] if short else []
    return Answer(pd.DataFrame(rows, columns=columns), findings, charts, notes)


def _apart(table: Any, reference: int) -> Any:
    """Each day without what all share; where there are few, without the weekday's own of the reference."""
    if table.shape[1] >= PEERS:
        return table.sub(table.median(axis=1), axis=0)
    first = table.iloc[:reference]
    week = first.groupby(first.index.day_of_week).mean().reindex(range(7)).fillna(first.mean())
    return table - week.loc[table.index.day_of_week].to_numpy()


def _tested(np: Any, apart: Any, reference: int, recent: int) -> dict[Any, tuple[float, float]]:
    """By asset: how far the last days' mean is from the reference's, and the deviation that such a difference has by
    chance: noise from day to day is AR(1), its size that of one weighed with that of all."""
    first, last = apart.iloc[:reference], apart.iloc[-recent:]
    rest = first - first.mean()
    variance = rest.var(ddof=1)
    days = first.notna().sum()
    middle = float(np.nanmedian(variance))
    own = (days * variance + SHARED * middle) / (days + SHARED)
    steps = ((rest * rest.shift(1)).sum() / (rest**2).sum().replace(0, np.nan)).dropna()
    raw = float(steps.median()) if len(steps) else 0.0
    phi = float(np.clip(raw + (1 + 3 * raw) / max(float(days.median()), 2.0), 0.0, 0.9))
    noise = np.sqrt(own * (_inflated(phi, recent) + _inflated(phi, reference)))
    change = last.mean() - first.mean()
    return {asset: (float(change[asset]), float(noise[asset])) for asset in apart.columns}


def _inflated(phi: float, n: int) -> float:
    """Variance of the mean of n days of an AR(1) of variance 1."""
    total = 1.0 + 2 * sum((1 - k / n) * phi**k for k in range(1, n))
    return total / n


def _since(apart: Any, reference: int, row: Mapping[str, Any]) -> Any:
    """The day behind the last on which it was where it used to be."""
    first = apart.iloc[:reference]
    middle, sign = first.mean(), 1 if row["change"] > 0 else -1
    usual = apart[(apart - middle) * sign <= 0]
    later = apart.index[apart.index > usual.index[-1]] if len(usual) else apart.index
    return later[0] if len(later) else apart.index[-1]


def _finding(row: Mapping[str, Any], since: Any) -> Finding:
    share = row["change"] / abs(row["typical"]) if row["typical"] else 0.0
    unit = "" if row["unit"] in ("", "1") else f" {row['unit']}"
    what = f"{row['channel']} {row['indicator']}" if row["indicator"] != "value" else str(row["channel"])
    of = "" if row["kind"] == "level" else f"{_WORDS[row['kind']]} of "
    way = "above" if row["change"] > 0 else "below"
    beside = f", beside its {row['peers']} peers" if row["peers"] >= PEERS - 1 else ""
    words = f"{of}{what} has gone {abs(row['change']):.3g}{unit} {way} where it was ({share:+.1%}){beside}"
    severity = "medium" if abs(share) >= 0.1 else "low"
    evidence = {key: round(float(row[key]), 6) for key in ("change", "noise", "z", "typical")}
    return Finding(
        row["site"], row["device"], row["asset"], row["channel"], row["indicator"], f"drift_{row['kind']}",
        severity,  # type: ignore[arg-type]
        words, f"{since:%Y-%m-%d}", f"{row['day']:%Y-%m-%d}", evidence, row["stream"].removesuffix("_indicators"),
    )  # fmt: skip
