"""`train images`: hyperparameters, a job's channels, the gain gate."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeloop.config.identifiers import is_id
from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop.models.manifest import Manifest
from edgeloop.models.package import Package, open_package, unpack
from edgeloop_tools.label.dataset import DataSet, Item
from edgeloop_tools.loop.gate import Decision, Truth, cost, judge, weigh
from edgeloop_tools.model.keys import private
from edgeloop_tools.train.images.groups import groups_of, leaked, print_of
from edgeloop_tools.train.images.run import Costs, Trained, report, train
from edgeloop_tools.train.images.source import data_set, pictures
from edgeloop_tools.train.job import Job
from edgeloop_tools.train.options import VERSION

REFUSED: Final = 3
HELD_OUT: Final = 0.3
"""Share of the groups that the gate keeps back, where the data set names no test split."""


def costs_of(text: str) -> Costs:
    """
    >>> costs_of("escape=50,reject=1")
    Costs(escape=50.0, reject=1.0)
    """
    known = {"escape": 1.0, "reject": 1.0}
    for word in text.replace(",", " ").split():
        name, _, value = word.partition("=")
        try:
            if name not in known or not 0 < float(value) < 1e9:
                raise ValueError
            known[name] = float(value)
        except ValueError:
            raise EdgeloopError("no costs", where="--costs", why=repr(word), mend="escape=50,reject=1") from None
    return Costs(**known)


def run(arguments: argparse.Namespace, job: Job) -> int:
    source = arguments.input or job.channel("training", "train")
    if not source:
        raise EdgeloopError("nothing to train on", where="train images", mend="give --input, or a channel `training`")
    if not is_id(arguments.name):
        raise EdgeloopError("no name for a model", where="--name", why=repr(arguments.name), mend="a-z, 0-9, _ and -")
    costs = costs_of(arguments.costs)
    data = sited(data_set(Path(source)), arguments.site_column)
    if (tests := job.channel("validation", "test")) and not data.splits.get("test"):
        data = with_test(data, data_set(Path(tests)))
    key = private(arguments.key) if arguments.key else None
    folder = Path(arguments.model_dir or job.model or ".")
    with tempfile.TemporaryDirectory() as scratch:
        active = opened(arguments.against, arguments.name, arguments.root, Path(scratch)) if arguments.against else None
        version = arguments.version or (following(active.manifest) if active else "1.0.0")
        if not VERSION.fullmatch(version):
            raise EdgeloopError("no version", where="--version", why=repr(version), mend="such as 1.2.0")
        out = folder / f"{arguments.name}-{version}.tar"
        options: dict[str, Any] = {
            "costs": costs, "seed": arguments.seed, "threads": job.cpus, "key": key,
            "parent": active.digest if active else None,
        }  # fmt: skip
        if active is None:
            trained = train(data, out, arguments.name, version, **options)
            report(trained, version, arguments.json)
            return 0
        return _gated(arguments, data, active, out, version, costs, options, Path(scratch))


def _gated(
    arguments: argparse.Namespace, data: DataSet, active: Package, out: Path, version: str, costs: Costs,
    options: dict[str, Any], scratch: Path,
) -> int:  # fmt: skip
    data = data if data.splits.get("test") else split(data, arguments.seed)
    fresh = out.with_name(f".{out.name}.new")
    trained = train(data, fresh, arguments.name, version, **options)
    decision = compared(data, unpack(fresh, scratch / "new"), active, costs)
    if not decision.accepted and not arguments.force:
        fresh.unlink()
        _say(arguments, trained, decision, None, version)
        return REFUSED
    if not decision.accepted:
        note = f"the gain gate refused it ({decision.line}); forced: {arguments.force}"
        trained = train(data, fresh, arguments.name, version, note=note, **options)
    fresh.replace(out)
    _say(arguments, trained, decision, out, version)
    return 0


def _say(arguments: argparse.Namespace, trained: Trained, decision: Decision, out: Path | None, version: str) -> None:
    if arguments.json:
        print(json.dumps({
            "package": str(out) if out else None, "digest": trained.digest if out else None,
            "version": version, "metrics": trained.metrics,
            "gate": {"accepted": decision.accepted, "words": decision.words, "gain": decision.gain,
                     "low": decision.low, "high": decision.high, "better": decision.better},
        }))  # fmt: skip
        return
    for word in decision.words:
        print(word)
    if out is None:
        print("refused by the gain gate; --force REASON takes it all the same", file=sys.stderr)
    else:
        report(Trained(out, trained.digest, trained.metrics, trained.lines), version, False)


def compared(data: DataSet, new: Package, active: Package, costs: Costs) -> Decision:
    """Both models on the data set's test split."""
    apart = set(data.splits["test"])
    lines: list[str] = []
    tests: list[Item] = []
    shown = []
    for item, pixels in pictures(data, [i for i in data.items if i.kind and i.source in apart], lines):
        tests.append(item)
        shown.append(pixels)
    if not tests:
        raise EdgeloopError("no held-out picture can be read", why=lines[0] if lines else "the test split is empty")
    prints = np.stack([print_of(pixels) for pixels in shown])
    learned = [print_of(p) for _, p in pictures(data, [i for i in data.items if i.kind and i.source not in apart], [])]
    truth = Truth([i.kind for i in tests], groups_of(tests, prints), [str(i.about.get("site", "")) for i in tests])
    both = [cost(judge(model, shown, truth.good), truth, costs.escape, costs.reject) for model in (new, active)]
    return weigh(both[0], both[1], truth, leaked=leaked(prints, np.stack(learned)))


def split(data: DataSet, seed: int = 0, share: float = HELD_OUT) -> DataSet:
    """With a test split: groups stay whole, classes keep their shares, whatever the order of the items. With several
    sites each gives its share."""
    prints, kept = [], []
    for item, pixels in pictures(data, [i for i in data.items if i.kind], []):
        kept.append(item)
        prints.append(print_of(pixels))
    if not kept:
        raise EdgeloopError("no labelled picture can be read", where=str(data.root))
    groups = groups_of(kept, np.stack(prints))
    rng = np.random.default_rng(seed)
    test: set[int] = set()
    for kind in sorted({(i.kind, str(i.about.get("site", ""))) for i in kept}):
        own = sorted({
            int(g) for g, i in zip(groups, kept, strict=True) if (i.kind, str(i.about.get("site", ""))) == kind
        })  # fmt: skip
        test |= {own[k] for k in rng.permutation(len(own))[: round(share * len(own))]}
    names = [i.source for i, g in zip(kept, groups, strict=True) if int(g) in test]
    return DataSet(data.root, data.items, data.classes, {**data.splits, "test": names}, data.lines)


def sited(data: DataSet, column: str) -> DataSet:
    if column != "site":
        data.items = [replace(i, about={**i.about, "site": i.about.get(column, "")}) for i in data.items]
    return data


def with_test(data: DataSet, tests: DataSet) -> DataSet:
    """Both data sets as one, the second as its test split."""
    moved = [replace(i, source=str(tests.path(i).absolute())) for i in tests.items]
    classes = data.classes + [name for name in tests.classes if name not in data.classes]
    names = [i.source for i in moved]
    return DataSet(data.root, data.items + moved, classes, {**data.splits, "test": names}, data.lines + tests.lines)


def opened(against: str, name: str, root: Path | None, scratch: Path) -> Package:
    """The model to be beaten. Raises EdgeloopError."""
    if against != "active":
        return unpack(Path(against), scratch / "active")
    from edgeloop_tools.core.daemon import default_root

    folder = store.directory(root or default_root(), name)
    pointer = store.read(folder)
    if pointer is None or pointer.active is None:
        mend = "name a package: --against FILE.tar"
        raise EdgeloopError("no model of this name is active", where=str(folder), mend=mend)
    return open_package(folder / pointer.active.digest)


def following(manifest: Manifest) -> str:
    major, minor = manifest.version.split(".")[:2]
    return f"{major}.{int(minor) + 1}.0"
