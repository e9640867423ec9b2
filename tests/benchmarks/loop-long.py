"""The loop on real sets: a detector on DeepPCB's own split, and one-class models of DeepPCB and magnetic tile.

`python tests/benchmarks/loop-long.py`: up to an hour on two cores. `EDGELOOP_DATA=DIR` holds `deeppcb/` (`PCBData`),
`tile/` (magnetic tile), `kolektor/` (KolektorSDD); what is not there is left out and said.
DeepPCB's boards come as pairs: the picture that a camera would give is test, template and difference as one.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgeloop.models.graph import area
from edgeloop.models.package import unpack
from edgeloop.teach.backbone import Pixels
from edgeloop.teach.lesson import Options, teach
from edgeloop.teach.network import Run
from edgeloop.teach.shown import Shown, resized
from edgeloop_tools.bench.suite import show
from edgeloop_tools.label.dataset import Box, DataSet, Item
from edgeloop_tools.train.images import boxes

LONG = True
EXTRAS = ("vision",)
KINDS: Final = ("open", "short", "mousebite", "spur", "copper", "pin-hole")
DATA: Final = Path(os.environ.get("EDGELOOP_DATA", "/nowhere"))


def pair(picture: Path) -> Pixels:
    """Test, template, difference, as the three colours of one picture."""
    test, template = (
        cv2.imread(str(picture.with_name(f"{picture.stem}_{which}.jpg")), cv2.IMREAD_GRAYSCALE)
        for which in ("test", "temp")
    )
    return np.dstack([test, template, cv2.absdiff(test, template)])


def listed(folder: Path, split: str) -> Iterator[tuple[Path, list[Box]]]:
    top = next(folder.rglob(f"{split}.txt")).parent
    for line in (top / f"{split}.txt").read_text().splitlines():
        if not line.strip():
            continue
        picture, truth = line.split()
        rows = (list(map(int, row.replace(",", " ").split())) for row in (top / truth).read_text().splitlines())
        found = [Box(KINDS[r[4] - 1], r[0], r[1], r[2] - r[0], r[3] - r[1]) for r in rows if len(r) == 5]
        yield top / picture, found


def detector(folder: Path, scratch: Path) -> dict[str, Any]:
    """Trained on trainval, measured on test, by `train images`; run by the component's own code."""
    items, tests = [], []
    for split in ("trainval", "test"):
        for number, (picture, found) in enumerate(listed(folder, split)):
            name = f"{split}_{number:04}.png"
            cv2.imwrite(str(scratch / name), pair(picture)[:, :, ::-1])
            items.append(Item(name, "" if found else "good", tuple(found)))
            tests += [name] if split == "test" else []
    data = DataSet(scratch, items, list(KINDS), {"test": tests})
    began = time.monotonic()
    trained = boxes.train(data, scratch / "boards.tar", "boards", threads=2, told=lambda line: print(f"  {line}"))
    package = unpack(trained.path, scratch / "there")
    run = Run((package.folder / "model.onnx").read_bytes())
    picture = cv2.imread(str(scratch / tests[0]))[:, :, ::-1]
    times = []
    for _ in range(10):
        start = time.perf_counter()
        run(np.ascontiguousarray(picture))
        times.append(time.perf_counter() - start)
    return {"minutes": (time.monotonic() - began) / 60, "ms": 1e3 * min(times), **trained.metrics}


def one_class(good: list[Pixels], later: list[Pixels], bad: list[Pixels], size: tuple[int, int]) -> dict[str, float]:
    began = time.monotonic()
    shown = [Shown(str(k), p) for k, p in enumerate(good)]
    taught = teach(shown, options=Options(threads=2, size=size))
    seconds = time.monotonic() - began
    model = Run(taught.model, 2)
    scores = np.array([float(model(resized(p, *size))[0][0]) for p in [*later, *bad]])
    wrong = np.arange(len(scores)) >= len(later)
    return {
        "auroc": area(scores, wrong), "false_rejects": float((scores[~wrong] >= 0.5).mean()),
        "escapes": float((scores[wrong] < 0.5).mean()), "taught_s": seconds,
    }  # fmt: skip


def tiles(folder: Path) -> dict[str, dict[str, float]]:
    """Magnetic tile, squashed to 256 × 256: thirty, and three hundred good ones."""
    every = {p.parents[1].name: [] for p in folder.rglob("*.jpg") if p.parent.name == "Imgs"}
    for path in sorted(folder.rglob("*.jpg")):
        if path.parent.name == "Imgs":
            every[path.parents[1].name].append(path)
    rng = np.random.default_rng(0)
    good = [every["MT_Free"][k] for k in rng.permutation(len(every["MT_Free"]))]
    bad = [p for name, paths in every.items() if name != "MT_Free" for p in paths]
    later, wrong = ([read(p, 256) for p in paths] for paths in (good[300:600], bad))
    return {
        f"{count}_good": one_class([read(p, 256) for p in good[:count]], later, wrong, (256, 256))
        for count in (30, 300)
    }


def read(path: Path, side: int) -> Pixels:
    return np.ascontiguousarray(cv2.resize(cv2.imread(str(path)), (side, side), interpolation=cv2.INTER_AREA))


def group(folder: Path) -> dict[str, float]:
    """DeepPCB's largest group: thirty good boards of it, sixty others, sixty with faults."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*_temp.jpg")):
        groups.setdefault(path.parent.name, []).append(path)
    paths = max(groups.values(), key=len)
    order = np.random.default_rng(0).permutation(len(paths))
    good = [cv2.imread(str(paths[k])) for k in order[:90]]
    bad = [cv2.imread(str(paths[k]).replace("_temp", "_test")) for k in order[30:90]]
    return one_class(good[:30], good[30:], bad, (640, 640))


def run() -> dict[str, Any]:
    found: dict[str, Any] = {}
    goals = []
    if (where := DATA / "deeppcb").is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            found["deeppcb_detector"] = seen = detector(where, Path(scratch))
        found["deeppcb_one_group"] = one = group(where)
        goals += [
            {"goal": "DeepPCB detector: mAP at IoU 0.33", "at_least": 0.98, "figure": seen["map_33"]},
            {"goal": "DeepPCB detector: training", "at_most": 60, "figure": seen["minutes"], "unit": "min"},
            {"goal": "DeepPCB, one group, 30 good: AUROC (0.993 seen)", "at_least": 0.99, "figure": one["auroc"]},
        ]
    else:
        print("  DeepPCB is left out: set EDGELOOP_DATA to a folder with deeppcb/", flush=True)
    if (where := DATA / "tile").is_dir():
        found["magnetic_tile"] = tile = tiles(where)
        goals += [
            {"goal": f"magnetic tile, {count} good: AUROC", "at_least": least, "figure": tile[f"{count}_good"]["auroc"]}
            for count, least in ((30, 0.80), (300, 0.93))
        ]
    else:
        print("  magnetic tile is left out: set EDGELOOP_DATA to a folder with tile/", flush=True)
    if not (DATA / "kolektor").is_dir():
        print("  KolektorSDD is left out: set EDGELOOP_DATA to a folder with kolektor/", flush=True)
    else:
        found["kolektor"] = seen = kolektor(DATA / "kolektor")
        goals.append({"goal": "KolektorSDD, 30 good: AUROC", "at_least": 0.89, "figure": seen["auroc"]})
    return {**found, "goals": goals}


def kolektor(folder: Path) -> dict[str, float]:
    """KolektorSDD at 256 × 640: thirty good ones; a picture is bad where its mask is not empty."""
    good, bad = [], []
    for path in sorted(folder.rglob("*.jpg")):
        mask = cv2.imread(str(path.with_name(f"{path.stem}_label.bmp")), cv2.IMREAD_GRAYSCALE)
        picture = cv2.resize(cv2.imread(str(path)), (256, 640), interpolation=cv2.INTER_AREA)
        (bad if mask is not None and mask.max() else good).append(picture)
    order = np.random.default_rng(0).permutation(len(good))
    return one_class([good[k] for k in order[:30]], [good[k] for k in order[30:]], bad, (256, 640))


if __name__ == "__main__":
    print(show(run()))
