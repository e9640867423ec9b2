"""Who runs unlike the others of its type, by which indicator, by how much: Rosner's generalised ESD over the assets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgeloop import optional
from edgeloop_tools.analyse.definition import Answer, Chart, Finding, Parameter

TITLE: Final = "Assets that run unlike the others of their type"
VERSION: Final = "1"
PARAMETERS: Final = {
    "alpha": Parameter(0.005, "chance of any false finding in a run, all indicators together", 1e-9, 0.5),
    "recent": Parameter(3, "days that are compared with those before, for `change`", 1, 60),
    "window": Parameter(0, "last days that are looked at; 0: all", 0, 730),
    "type": Parameter("", "only assets of this type, such as press"),
    "indicator": Parameter("", "only this indicator, such as rms"),
}
PEERS: Final = 5
"""Assets of a type below which nothing is said."""
SHARE: Final = 0.2
"""Of the assets of a type that can be found unlike at once."""
SHARED: Final = 40
DAYS: Final = 4
"""Days of an asset below which it is not compared."""


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """The mean of each day, by asset and indicator."""
    t = tables["indicators_1h"]
    for name in ("type", "indicator"):
        if p[name]:
            t = t.filter(t[name] == p[name])
    t = t.mutate(day=t.time.truncate("D"), total=t["mean"] * t.n)
    keys = ["type", "site", "device", "asset", "stream", "channel", "indicator", "unit", "day"]
    days = t.group_by(keys).aggregate(n=t.n.sum(), total=t.total.sum())
    return days.mutate(value=days.total / days.n).select(*keys, "value").order_by(keys)


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: the columns of `job`."""
    np, pd = optional.load("numpy", "compare"), optional.load("pandas", "compare")
    frame = frame.assign(part=[_part(s, a) for s, a in zip(frame.stream, frame.asset, strict=True)])
    groups = list(frame.groupby(["type", "part", "channel", "indicator", "unit"], sort=True))
    tests = 2 * len(groups)
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    charts: list[Chart] = []
    notes: list[str] = []
    for key, group in groups:
        table = group.pivot_table(index="day", columns=["site", "device", "asset"], values="value").sort_index()
        table = table.iloc[-int(p["window"]) :] if p["window"] else table
        table = table.loc[:, table.notna().sum() >= DAYS]
        name = " ".join(str(word) for word in key[:4] if word)
        if table.shape[1] < PEERS:
            notes.append(f"{name}: cannot say: {table.shape[1]} assets with {DAYS} days or more, {PEERS} are needed")
            continue
        apart = table.sub(table.median(axis=1), axis=0)
        middle = float(np.nanmedian(table.to_numpy()))
        for kind, values, sizes in _statistics(np, apart, int(p["recent"])):
            for asset, value, low, high, unlike in _unlike(np, values, sizes, float(p["alpha"]) / tests):
                site, device, machine = asset
                rows.append({
                    "site": site, "device": device, "asset": machine, "type": key[0], "stream": key[1],
                    "channel": key[2], "indicator": key[3], "unit": key[4], "kind": kind, "difference": value,
                    "low": low, "high": high, "typical": middle, "unlike": unlike,
                })  # fmt: skip
                if not unlike:
                    continue
                findings.append(_finding(rows[-1], table.index, table.shape[1] - 1, int(p["recent"])))
                if len(charts) < 12:
                    days = np.arange(len(table))
                    lines = {"this one": table[asset], "median of all": table.median(axis=1)}
                    drawn = {
                        word: [(float(d), float(v)) for d, v in zip(days, line, strict=True) if v == v]
                        for word, line in lines.items()
                    }
                    charts.append(Chart(f"{site} {machine}: {name} ({kind}; days)", drawn))
    columns = ["site", "device", "asset", "type", "stream", "channel", "indicator", "unit", "kind", "difference", "low",
               "high", "typical", "unlike"]  # fmt: skip
    return Answer(pd.DataFrame(rows, columns=columns), findings, charts, notes)


def _stream(asset: str, part: str) -> str:
    """
    >>> _stream("press7", "vib_indicators"), _stream("press7", "vib")
    ('press7_vib', 'press7_vib')
    """
    return f"{asset}_{part}".removesuffix("_indicators")


def _part(stream: str, asset: str) -> str:
    """The stream without its asset: what streams of a kind share.

    >>> _part("press7_vib_indicators", "press7")
    'vib_indicators'
    """
    return stream.removeprefix(asset).removeprefix("_")


def _statistics(np: Any, apart: Any, recent: int) -> list[tuple[str, Any, Any]]:
    """By asset: its level beside the others; how much that moved in the last days, with the size of what moves it on
    other days, its own and that of all weighed as if all were `SHARED` spans of it."""
    level = apart.mean()
    found = [("level", level, level * 0.0 + 1.0)]
    before, after = apart.iloc[:-recent], apart.iloc[-recent:]
    if len(before) >= 4 * recent:
        change = (after.mean() - before.mean()).dropna()
        own = (before.rolling(recent).mean().var())[change.index]
        spans = len(before) / recent
        size = np.sqrt((spans * own + SHARED * own.median()) / (spans + SHARED))
        if (size > 0).all():
            found.append(("change", change, size))
    return found


def _unlike(np: Any, values: Any, sizes: Any, alpha: float) -> list[tuple[Any, float, float, float, bool]]:
    """Asset, difference from its peers with its 95 % interval, and whether it is an outlier of the family."""
    t = optional.load("scipy.stats", "compare").t
    names, scale = list(values.index), sizes.to_numpy(dtype=float)
    x = values.to_numpy(dtype=float) / scale
    count = len(x)
    if count < PEERS:
        return []
    left = list(range(count))
    removed: list[int] = []
    outliers = 0
    for number in range(1, max(1, int(count * SHARE)) + 1):
        own = x[left]
        spread = own.std(ddof=1)
        if not spread > 1e-12 * (1.0 + abs(own).max()):
            break
        at = int(np.argmax(abs(own - own.mean())))
        free = count - number - 1
        if free < 2:
            break
        q = t.ppf(1 - alpha / (2 * (count - number + 1)), free)
        critical = (count - number) * q / np.sqrt((free + q * q) * (count - number + 1))
        removed.append(left[at])
        if abs(own[at] - own.mean()) / spread > critical:
            outliers = number
        left.pop(at)
    unlike = set(removed[:outliers])
    quantile = {n: float(t.ppf(0.975, n - 1)) for n in (count - outliers - 1, count - outliers)}
    found = []
    for at in range(count):
        peers = np.array([x[k] for k in range(count) if k != at and k not in unlike])
        half = quantile[len(peers)] * peers.std(ddof=1) * np.sqrt(1 + 1 / len(peers))
        value = float(x[at] - peers.mean())
        low, high = value - float(half), value + float(half)
        found.append((names[at], *(float(v * scale[at]) for v in (value, low, high)), at in unlike))
    return found


def _finding(row: Mapping[str, Any], days: Any, peers: int, recent: int) -> Finding:
    share = row["difference"] / row["typical"] if row["typical"] else 0.0
    more = "above" if row["difference"] > 0 else "below"
    unit = "" if row["unit"] in ("", "1") else f" {row['unit']}"
    what = f"{row['channel']} {row['indicator']}" if row["indicator"] != "value" else str(row["channel"])
    size = f"{abs(row['difference']):.3g}{unit} {more} ({share:+.1%}; 95 %: {row['low']:.3g} to {row['high']:.3g})"
    words = f"{what} runs {size} its {peers} peers"
    if row["kind"] == "change":
        words = f"{what} moved to {size} where it was beside its {peers} peers, in {recent} days"
    first = days[0] if row["kind"] == "level" else days[-recent]
    evidence = {key: round(float(row[key]), 6) for key in ("difference", "low", "high", "typical")} | {"peers": peers}
    return Finding(
        row["site"], row["device"], row["asset"], row["channel"], row["indicator"], row["kind"],
        "medium" if abs(share) >= 0.05 else "low", words, f"{first:%Y-%m-%d}", f"{days[-1]:%Y-%m-%d}", evidence,
        _stream(row["asset"], row["stream"]),
    )  # fmt: skip
