"""Which machines are alike: Gaussian mixtures over what each indicator usually is, as many groups as there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edgeloop import optional
from edgeloop_tools.analyse.definition import Answer, Parameter

TITLE: Final = "Machines alike"
VERSION: Final = "1"
PARAMETERS: Final = {
    "most": Parameter(8, "groups at most", 1, 30),
    "type": Parameter("", "only assets of this type, such as press"),
    "seed": Parameter(1, "of the mixtures' beginnings", 0, 2**31 - 1),
}
LEAST: Final = 6
"""Assets of a type below which nothing is said."""
SURE: Final = 0.9
"""Probability from which an asset belongs to its group."""


def job(tables: Mapping[str, Any], p: Mapping[str, Any]) -> Any:
    """Of each asset and indicator: mean, and deviation of its hours."""
    t = tables["indicators_1h"]
    if p["type"]:
        t = t.filter(t["type"] == p["type"])
    t = t.mutate(total=t["mean"] * t.n, square=t["mean"] * t["mean"])
    keys = ["type", "site", "device", "asset", "stream", "channel", "indicator", "unit"]
    sums = t.group_by(keys).aggregate(
        n=t.n.sum(), total=t.total.sum(), plain=t["mean"].mean(), square=t.square.mean(), first=t.time.min(),
        last=t.time.max(),
    )  # fmt: skip
    spread = (sums.square - sums.plain * sums.plain).clip(lower=0).sqrt()
    return sums.mutate(level=sums.total / sums.n, spread=spread).select(
        *keys, "level", "spread", "first", "last"
    ).order_by(keys)  # fmt: skip


def fit(frame: Any, p: Mapping[str, Any]) -> Answer:
    """frame: the columns of `job`."""
    np, pd = optional.load("numpy", "cluster"), optional.load("pandas", "cluster")
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for kind, group in frame.groupby("type", sort=True):
        part = [s.removeprefix(a) for s, a in zip(group.stream, group.asset, strict=True)]
        what = group.assign(what=[f"{x} {c} {i}" for x, c, i in zip(part, group.channel, group.indicator, strict=True)])
        machine = ["site", "device", "asset"]
        tables = [what.pivot_table(index=machine, columns="what", values=name) for name in ("level", "spread")]
        whole = pd.concat(tables, axis=1).dropna(axis=1)
        if len(whole) < LEAST or not whole.shape[1]:
            notes.append(f"{kind}: cannot say: {len(whole)} assets with the same indicators, {LEAST} are needed")
            continue
        groups, sure = _grouped(np, whole.to_numpy(dtype=float), int(p["most"]), int(p["seed"]))
        notes.append(f"{kind}: {len(set(groups))} groups of {len(whole)} assets, by {whole.shape[1]} numbers each")
        for asset, number, probability in zip(whole.index, groups, sure, strict=True):
            rows.append({
                "type": kind, "site": asset[0], "device": asset[1], "asset": asset[2], "group": number,
                "probability": probability, "alike": groups.count(number), "sure": probability >= SURE,
            })  # fmt: skip
    columns = ["type", "site", "device", "asset", "group", "probability", "alike", "sure"]
    return Answer(pd.DataFrame(rows, columns=columns), (), (), notes)


def _grouped(np: Any, values: Any, most: int, seed: int) -> tuple[list[int], list[float]]:
    """Group of each row, the largest first, and its probability. What is positive throughout is seen by its ratios; the
    main directions that carry more than noise are kept; the number of groups has the least BIC."""
    mixture = optional.load("sklearn.mixture", "cluster").GaussianMixture
    seen = np.where((values > 0).all(axis=0), np.log(np.maximum(values, 1e-12)), values)
    seen = seen - np.median(seen, axis=0)
    size = np.median(abs(seen), axis=0) * 1.4826
    seen = seen / np.where(size > 0, size, np.where(seen.std(axis=0) > 0, seen.std(axis=0), 1.0))
    _, strength, directions = np.linalg.svd(seen - seen.mean(axis=0), full_matrices=False)
    share = np.cumsum(strength**2) / max(float((strength**2).sum()), 1e-12)
    kept = min(int(np.searchsorted(share, 0.9)) + 1, max(1, len(seen) // 10))
    seen = (seen - seen.mean(axis=0)) @ directions[:kept].T
    best = None
    for count in range(1, min(most, len(seen) // LEAST) + 1):
        tried = mixture(count, covariance_type="diag", n_init=5, random_state=seed, reg_covar=1e-3).fit(seen)
        score = float(tried.bic(seen))
        if best is None or score < best[0]:
            best = score, tried
    assert best is not None
    found = best[1].predict(seen)
    largest = sorted(set(found.tolist()), key=lambda g: -int((found == g).sum()))
    order = {int(old): new for new, old in enumerate(largest)}
    return [order[int(g)] for g in found], [float(x) for x in best[1].predict_proba(seen).max(axis=1)]
