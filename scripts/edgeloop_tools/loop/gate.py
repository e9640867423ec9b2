"""The gain gate: a retrained model is offered only where it is better than the active one by more than chance.

Both judge the same held-out pictures through the component's own code. What each picture costs, an escape or a false
reject, is compared in pairs; groups of pictures that belong together are drawn with replacement (the paired bootstrap,
Efron and Tibshirani, 1993), so that fifty pictures of one part count as one. Pictures weigh by the inverse of their
chance of being there, so that what is saved is saved on the line's own mix, and not on what was picked for doubt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from camera_inference.frame import Frame
from camera_inference.prepare import Preparation
from camera_inference.verdict import Criteria, interpret
from edgeloop.errors import EdgeloopError
from edgeloop.models.decoders import make as decoder_of
from edgeloop.models.package import Package
from edgeloop.models.runners import open_runner
from edgeloop.teach.backbone import Pixels

DRAWS: Final = 4000
SURE: Final = 0.95
"""Share of the draws in which it must be better."""
WORSE: Final = 0.90
"""Share of the draws in which it is worse on a site, from which it is refused."""
LEAST: Final = 20
"""Held-out groups under which nothing is known."""
LEAST_BAD = LEAST_GOOD = 5
"""Of those the bad and the good ones, where what was picked for doubt is left out."""
CONFUSED: Final = 0.5
"""Of the cost of a reject: the verdict is right, the kind is not."""
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a model says of each picture. fails: whether it rejects it; unknown counts as rejecting."""

    fails: NDArray[np.bool_]
    labels: list[str]


@dataclass(frozen=True, slots=True)
class Truth:
    """labels: of each picture. groups, sites: what it belongs to. good: the labels that pass."""

    labels: list[str]
    groups: NDArray[np.intp]
    sites: list[str]
    good: frozenset[str] = frozenset({"good"})


@dataclass
class Decision:
    """words: why. gain: mean cost saved a part, with the interval of 90 % of the draws."""

    accepted: bool
    words: list[str]
    gain: float
    low: float
    high: float
    better: float
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        return "; ".join(self.words)


def judge(package: Package, pictures: Iterable[Pixels], good: frozenset[str], threads: int = 1) -> Verdicts:
    """pictures: RGB. Raises EdgeloopError."""
    from edgeloop.models.runners import Options

    manifest = package.manifest
    candidates = manifest.candidates(("onnxruntime",))
    if not candidates:
        raise EdgeloopError("the model has no form that runs here", where=manifest.name)
    runner = open_runner(package, candidates[0], Options(threads=threads))
    decoder = decoder_of(manifest, package.folder)
    criteria = Criteria(good)
    preparation = Preparation(manifest, (0.0, 0.0, 1.0, 1.0))
    fails, labels = [], []
    buffer = preparation.buffer()
    for pixels in pictures:
        tensor, placement = preparation.fill(Frame("", 0, 0, pixels, "rgb"), buffer)
        finding = interpret(manifest, runner.run(tensor), placement, criteria, decoder)
        verdict = criteria.judge(finding, manifest)
        fails.append(verdict != "pass")
        labels.append(finding.label)
    runner.close()
    return Verdicts(np.array(fails, bool), labels)


def cost(verdicts: Verdicts, truth: Truth, escape: float, reject: float) -> NDArray[np.float64]:
    """Of each picture. Without good parts, a wrong class costs a reject."""
    bad = np.array([label not in truth.good for label in truth.labels])
    wrong = np.array([a != b for a, b in zip(verdicts.labels, truth.labels, strict=True)])
    if bad.all():
        return np.asarray(reject * wrong, np.float64)
    found = np.where(bad & ~verdicts.fails, escape, 0.0) + np.where(~bad & verdicts.fails, reject, 0.0)
    kinds = len(set(truth.labels) - truth.good) > 1 and len(set(verdicts.labels) - truth.good) > 1
    confused = bad & verdicts.fails & wrong if kinds else np.zeros(len(bad), bool)
    return np.asarray(found + CONFUSED * reject * confused, np.float64)


def weigh(
    new: Numbers, active: Numbers, truth: Truth, *, leaked: NDArray[np.bool_] | None = None,
    weight: Numbers | None = None, seed: int = 0,
) -> Decision:  # fmt: skip
    """new, active: costs of each held-out picture. leaked: pictures that the new model learned from, or copies of such:
    they say nothing and are left out. weight: of each picture, 1 / the chance that one of the line's is among them; 0:
    it was picked, and says nothing of the line's mix."""
    words: list[str] = []
    keep = np.ones(len(new), bool) if leaked is None else ~leaked
    if not keep.all():
        words.append(f"{int((~keep).sum())} of {len(keep)} held-out pictures are among those it learned from: left out")
    every = np.ones(len(new)) if weight is None else np.asarray(weight, np.float64)
    if picked := int((keep & (every <= 0)).sum()):
        words.append(f"{picked} held-out pictures were picked for doubt and are not the line's mix: left out")
    keep &= every > 0
    saved, groups, weights = (active - new)[keep], truth.groups[keep], every[keep]
    labels, sites = (
        [each for each, kept in zip(said, keep, strict=True) if kept] for said in (truth.labels, truth.sites)
    )
    count = len(np.unique(groups))
    if count < LEAST:
        words.append(
            f"{count} held-out parts of the line's mix are too few to know: label {LEAST - count} more of the random "
            "share first"
            if picked
            else f"{count} held-out parts are too few to know: {LEAST} are needed"
        )
        return Decision(False, words, 0.0, 0.0, 0.0, 0.0)
    bad = np.array([label not in truth.good for label in labels])
    wanted = (("bad", LEAST_BAD, bad), ("good", LEAST_GOOD, ~bad)) if picked and set(truth.labels) & truth.good else ()
    for word, least, own in wanted:
        if (known := len(np.unique(groups[own]))) < least:
            words.append(f"{known} of {count} are {word}, {least} are needed: label more of the random share first")
            return Decision(False, words, 0.0, 0.0, 0.0, 0.0)
    draws = _draws(saved, groups, weights, seed)
    gain, better = float(np.average(saved, weights=weights)), float((draws > 0).mean())
    low, high = (float(v) for v in np.quantile(draws, [0.05, 0.95]))
    accepted = better >= SURE
    parts = f"of {count} held-out parts"
    words.append(
        f"it saves {gain:.4g} a part ({low:.4g} to {high:.4g}) {parts}: better in {better:.1%} of {DRAWS} draws"
        if gain > 0
        else f"it costs {-gain:.4g} a part more ({-high:.4g} to {-low:.4g}) {parts}"
        if gain < 0
        else f"it saves nothing {parts}"
    )
    if not accepted and gain > 0:
        share = " of the random share" if picked else ""
        words.append(f"that is not more than chance: {SURE:.0%} are needed; label more{share}")
    for site in sorted(set(sites)):
        own = np.array([each == site for each in sites])
        if own.all():
            break
        worse = float((_draws(saved[own], groups[own], weights[own], seed) < 0).mean())
        if worse >= WORSE:
            accepted = False
            loss = -float(np.average(saved[own], weights=weights[own]))
            words.append(f"on site {site!r} it is worse by {loss:.4g} a part ({worse:.0%} of draws)")
    figures = {
        "new": float(np.average(new[keep], weights=weights)),
        "active": float(np.average(active[keep], weights=weights)), "parts": float(count),
    }  # fmt: skip
    return Decision(accepted, words, gain, low, high, better, figures)


def _draws(saved: Numbers, groups: NDArray[np.intp], weights: Numbers, seed: int) -> NDArray[np.float64]:
    """Weighted mean of what is saved, over groups drawn with replacement."""
    _, place = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(place, weights=weights * saved), np.bincount(place, weights=weights)
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, DRAWS, 500):
        picked = rng.integers(0, len(sums), (min(500, DRAWS - start), len(sums)))
        found.append(sums[picked].sum(axis=1) / sizes[picked].sum(axis=1))
    return np.concatenate(found)
