"""The loop back on the simulated belt: teach, sampling, the gain gate, wrong labels, beside chance in the same run.

`python tests/benchmarks/loop.py`; some ten minutes on two cores. `EDGELOOP_DATA=DIR` with DeepPCB in `DIR/deeppcb`
(the folder `PCBData` of its repository) adds the one-class figure over all its groups. Parts are drawn from one seed of
the conveyor for the lesson and from later hours of it for the test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.graph import area
from edgeloop.sim.conveyor import DEFECTS, Camera, Conveyor
from edgeloop.teach.backbone import Pixels
from edgeloop.teach.lesson import Options, Shown, Taught, teach
from edgeloop.teach.network import Run
from edgeloop.teach.shown import resized
from edgeloop_tools.bench.suite import show
from edgeloop_tools.loop.gate import Truth, Verdicts, cost, weigh
from edgeloop_tools.train.images import features, learn
from edgeloop_tools.train.images.run import Costs, size_of, threshold

GOOD_PARTS, BAD_PARTS = 400, 300
POOL, TEST = 420, 300
"""Parts of a seed that may be labelled, and that are measured on; 30 % and half of them bad."""
SEEDS: Final = (0, 1, 2, 3, 4)
STEP, MOST = 20, 200
"""Labels at once, and at the most."""
PLANS: Final = 50
KINDS: Final = ("good", *DEFECTS)
Numbers = NDArray[np.floating[Any]]


def belt(seed: int, defective: float) -> Camera:
    return Camera(Conveyor("gate", seed, defective=defective))


def shown(camera: Camera, numbers: Iterable[int]) -> list[Shown]:
    return [Shown(f"part {n}", camera.image(int(n))) for n in numbers]


def spread(start: int, count: int) -> NDArray[np.int_]:
    return np.linspace(start, start + 17_999, count).astype(int)


def judged(taught: Taught, pictures: Iterable[Pixels]) -> tuple[Numbers, Numbers]:
    """Scores, and how unlike what was taught."""
    model = Run(taught.model)
    found = [model(resized(pixels, taught.width, taught.height)) for pixels in pictures]
    return np.array([f[0][0] for f in found]), np.array([f[2][0] for f in found])


def lessons() -> dict[str, Any]:
    """Thirty good pictures; the same with twenty bad ones."""
    good, bad = belt(0, 0.0), belt(0, 1.0)
    few = shown(good, spread(0, 30))
    began = time.monotonic()
    plain = teach(few, options=Options(threads=2))
    seconds = time.monotonic() - began
    helped = teach(few, shown(bad, spread(0, 20)), Options(threads=2))
    parts = [good.image(int(n)) for n in spread(20_000, GOOD_PARTS)]
    faults = [bad.image(int(n)) for n in spread(20_000, BAD_PARTS)]
    found: dict[str, Any] = {"teach_s": seconds}
    for name, taught in (("thirty_good", plain), ("and_twenty_bad", helped)):
        scores, unlike = judged(taught, parts)
        wrong, _ = judged(taught, faults)
        truth = np.arange(len(scores) + len(wrong)) >= len(scores)
        found[name] = {
            "auroc": area(np.concatenate([scores, wrong]), truth), "false_rejects": float((scores >= 0.5).mean()),
            "escapes": float((wrong < 0.5).mean()), "refused_good": float((unlike > 1).mean()),
        }  # fmt: skip
    _, unlike = judged(plain, strange([good.image(int(n)) for n in spread(40_000, 12)]))
    found["strange_refused"] = float((unlike > 1).mean())
    picture = np.full((640, 640, 3), 90, np.uint8)
    square = teach([Shown(s.name, resized(s.pixels, 640, 640)) for s in few], options=Options(memory=1000, threads=2))
    model = Run(square.model)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        model(picture)
        times.append(time.perf_counter() - start)
    found["inference_ms_640"] = 1e3 * min(times)
    return found


def strange(parts: list[Pixels]) -> list[Pixels]:
    """What no camera of this belt should show."""
    import cv2

    rng = np.random.default_rng(3)
    found: list[Pixels] = []
    for part in parts:
        height, width = part.shape[:2]
        found += [
            np.zeros_like(part), np.full_like(part, 255), rng.integers(0, 256, part.shape, np.uint8),
            cv2.GaussianBlur(part, (0, 0), 3), np.roll(part, 40, axis=1), 255 - part,
            np.concatenate([part[: height // 2]] * 2), np.ascontiguousarray(part[:, :, ::-1] // 2),
            np.repeat(np.repeat(part[::4, ::4], 4, axis=0), 4, axis=1)[:height, :width],
        ]  # fmt: skip
    return found


def described(seed: int) -> tuple[Numbers, NDArray[np.intp], Numbers, NDArray[np.intp]]:
    """Pool and test of a seed: features and kinds."""
    pool, test = belt(seed, 0.3), belt(seed, 0.5)
    width, height = size_of(320, 240)
    out = []
    for camera, numbers in ((pool, spread(0, POOL)), (test, spread(20_000, TEST))):
        x = np.stack(list(features.described((camera.image(int(n)) for n in numbers), width, height)))
        out += [x, np.array([KINDS.index(camera.part(int(n)).kind) for n in numbers])]
    return out[0], out[1], out[2], out[3]


def right(x: Numbers, y: NDArray[np.intp], test: Numbers, truth: NDArray[np.intp]) -> float:
    """Share of the parts that are told good from bad."""
    model = learn.fit(x, y, len(KINDS))
    return float(((model.chances(test).argmax(axis=1) > 0) == (truth > 0)).mean())


def sampling(data: dict[int, Any]) -> dict[str, Any]:
    """Labels until random sampling's accuracy at MOST labels is met, over MOST."""
    ratios, curves = [], {"random": [], "ours": []}
    for seed, (x, y, test, truth) in data.items():
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(x))
        random = [right(x[order[:n]], y[order[:n]], test, truth) for n in range(STEP, MOST + 1, STEP)]
        chosen = order[:STEP]
        ours = [right(x[chosen], y[chosen], test, truth)]
        while len(chosen) + STEP <= MOST:
            more = learn.next_to_label(x, chosen, y[chosen], len(KINDS), STEP, rng)
            chosen = np.concatenate([chosen, more])
            ours.append(right(x[chosen], y[chosen], test, truth))
        curves["random"].append(random)
        curves["ours"].append(ours)
        counts = np.arange(STEP, MOST + 1, STEP)
        goal = float(np.mean(random[-2:]))
        place = next((k for k, value in enumerate(ours) if value >= goal), None)
        if place is None:
            ratios.append(1.0)
        else:
            low, high = (ours[place - 1], ours[place]) if place else (0.0, ours[0])
            part = (goal - low) / max(high - low, 1e-9) if place else 1.0
            ratios.append(float(counts[place] - STEP * (1 - part)) / MOST)
    rises = [ours[-1] - ours[0] for ours in curves["ours"]]
    means = {name: [round(float(v), 3) for v in np.mean(rows, axis=0)] for name, rows in curves.items()}
    return {"labels_over_random": ratios, "rises": rises, "curves": means}


def gates(data: dict[int, Any]) -> dict[str, Any]:
    """Plans that are worse by construction (shuffled labels, one kind alone, leaked copies) or better (twice the
    labels, cleaned ones), weighed on the test parts."""
    costs = Costs(10, 1)
    refused = {"worse": [], "better": []}
    for plan in range(PLANS):
        seed = SEEDS[plan % len(SEEDS)]
        x, y, test, truth = data[seed]
        rng = np.random.default_rng(100 + plan)
        order = rng.permutation(len(x))
        base, kinds = order[:100], y.copy()
        half = order[:50]
        noisy = kinds.copy()
        flipped = rng.permutation(order[:160])[:48]
        noisy[flipped] = (noisy[flipped] + 1 + rng.integers(0, 3, len(flipped))) % 4
        active = verdicts(x[base], kinds[base], test, truth, costs)
        way = plan % 3
        if way == 0:
            shuffled = kinds.copy()
            shuffled[base] = rng.permutation(shuffled[base])
            worse = verdicts(x[base], shuffled[base], test, truth, costs)
        elif way == 1:
            one = [k for k in order if kinds[k] in (0, 1 + plan % 3)][:100]
            worse = verdicts(x[one], kinds[one], test, truth, costs)
        else:
            leak = rng.permutation(len(test))[: len(test) // 2]
            both = np.concatenate([x[half[:30]], test[leak]]), np.concatenate([kinds[half[:30]], truth[leak]])
            worse = verdicts(*both, test, truth, costs)
        known = np.isin(np.arange(len(test)), leak) if way == 2 else None
        if way == 2:
            worse = np.where(known, 0.0, verdicts(x[half[:30]], kinds[half[:30]], test, truth, costs))
        truths = Truth([KINDS[k] for k in truth], np.arange(len(truth)), [""] * len(truth))
        refused["worse"].append(not weigh(worse, active, truths, leaked=known, seed=plan).accepted)
        if plan % 2:
            first = verdicts(x[order[:100]], kinds[order[:100]], test, truth, costs)
            more = verdicts(x[order[:200]], kinds[order[:200]], test, truth, costs)
        else:
            first = verdicts(x[order[:160]], noisy[order[:160]], test, truth, costs)
            more = verdicts(x[order[:160]], kinds[order[:160]], test, truth, costs)
        refused["better"].append(not weigh(more, first, truths, seed=plan).accepted)
    return {name: float(np.mean(values)) for name, values in refused.items()}


def verdicts(
    x: Numbers, y: NDArray[np.intp], test: Numbers, truth: NDArray[np.intp], costs: Costs
) -> NDArray[np.float64]:
    """What a model of these labels costs on each test part."""
    held = learn.softmax(learn.held_out(x, y, len(KINDS), np.arange(len(x))))
    limit = threshold(1 - held[:, 0], y > 0, costs)
    chances = learn.fit(x, y, len(KINDS)).chances(test)
    fails = 1 - chances[:, 0] >= limit
    labels = [KINDS[0] if not f else KINDS[1 + int(c[1:].argmax())] for f, c in zip(fails, chances, strict=True)]
    truths = Truth([KINDS[k] for k in truth], np.arange(len(truth)), [""] * len(truth))
    return cost(Verdicts(fails, labels), truths, costs.escape, costs.reject)


def wrong_labels(data: dict[int, Any]) -> list[float]:
    """Share of 10 % wrong labels that are among the first 20 % shown."""
    found = []
    for seed, (x, y, _, _) in data.items():
        rng = np.random.default_rng(seed)
        given = y.copy()
        wrong = rng.choice(len(y), len(y) // 10, replace=False)
        given[wrong] = (given[wrong] + 1 + rng.integers(0, 3, len(wrong))) % 4
        logits = learn.held_out(x, given, len(KINDS), np.arange(len(x)))
        first = np.argsort(-learn.doubt(logits, given))[: len(y) // 5]
        found.append(float(np.isin(wrong, first).mean()))
    return found


def boards(folder: Path) -> dict[str, float]:
    """DeepPCB: sixty good boards of all groups; others beside the same boards with faults."""
    import cv2

    pairs = [(p, p.with_name(p.name.replace("_temp", "_test"))) for p in sorted(folder.rglob("*_temp.jpg"))]
    read = [(cv2.imread(str(a)), cv2.imread(str(b))) for a, b in pairs[:: max(1, len(pairs) // 200)]]
    whole = [(a[:, :, ::-1].copy(), b[:, :, ::-1].copy()) for a, b in read if a is not None and b is not None]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(whole))
    taught = teach([Shown(str(k), whole[k][0]) for k in order[:60]], options=Options(threads=2))
    rest = order[60:160]
    scores, _ = judged(taught, [whole[k][0] for k in rest])
    wrong, _ = judged(taught, [whole[k][1] for k in rest])
    both = np.concatenate([scores, wrong])
    return {"auroc": area(both, np.arange(len(both)) >= len(scores)), "escapes": float((wrong < 0.5).mean())}


def run() -> dict[str, Any]:
    taught = lessons()
    data = {seed: described(seed) for seed in SEEDS}
    sampled, gate, wrong = sampling(data), gates(data), wrong_labels(data)
    found: dict[str, Any] = {
        "teach": taught, "sampling": sampled, "gate_refused": gate, "wrong_labels_found": wrong,
    }  # fmt: skip
    thirty, twenty = taught["thirty_good"], taught["and_twenty_bad"]
    ratio, speed = float(np.mean(sampled["labels_over_random"])), taught["inference_ms_640"]
    goals = [
        {"goal": "teach with 30 good pictures", "at_most": 60, "figure": taught["teach_s"], "unit": "s"},
        {"goal": "inference at 640 x 640, one thread", "at_most": 45, "figure": speed, "unit": "ms"},
        {"goal": "belt, 30 good: AUROC", "at_least": 0.995, "figure": thirty["auroc"]},
        {"goal": "and 20 bad: escapes", "at_most": 0.01, "figure": twenty["escapes"]},
        {"goal": "and 20 bad: false rejects", "at_most": 0.01, "figure": twenty["false_rejects"]},
        {"goal": "unlike what was taught: refused", "at_least": 0.99, "figure": taught["strange_refused"]},
        {"goal": "new good parts refused", "at_most": 0.005, "figure": thirty["refused_good"]},
        {"goal": "accuracy rises in each of 5 seeds", "at_least": 1e-9, "figure": min(sampled["rises"])},
        {"goal": "labels over random sampling's, mean", "at_most": 0.5, "figure": ratio},
        {"goal": "worse by construction: refused", "at_least": 1.0, "figure": gate["worse"]},
        {"goal": "better by construction: refused", "at_most": 0.1, "figure": gate["better"]},
        {"goal": "10 % wrong labels: in the first 20 %", "at_least": 0.6, "figure": float(np.mean(wrong))},
    ]
    where = Path(os.environ.get("EDGELOOP_DATA", "")) / "deeppcb"
    if os.environ.get("EDGELOOP_DATA") and where.is_dir():
        found["deeppcb_good_alone"] = seen = boards(where)
        goals.append({"goal": "DeepPCB, all groups: AUROC", "at_least": 0.95, "figure": seen["auroc"]})
    else:
        print("  DeepPCB is left out: set EDGELOOP_DATA to a folder with deeppcb/", flush=True)
    return {**found, "goals": goals}


if __name__ == "__main__":
    print(show(run()))
