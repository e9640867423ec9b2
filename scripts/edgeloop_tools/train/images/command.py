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
from edgeloop.models.package import Package, open_package, unpack
from edgeloop.models.versions import following
from edgeloop_tools.label.dataset import DataSet, Item
from edgeloop_tools.loop.gate import Decision, Truth, Verdicts, cost, judge, weigh
from edgeloop_tools.model.keys import private
from edgeloop_tools.train.images import boxes
from edgeloop_tools.train.images.boxes import boxed
from edgeloop_tools.train.images.groups import groups_of, leaked, print_of
from edgeloop_tools.train.images.mix import weights
from edgeloop_tools.train.images.run import AT_SITE, GOOD, LEARNED, Costs, Trained, digest_of, report, train
from edgeloop_tools.train.images.source import data_set, pictures
from edgeloop_tools.train.job import Job
from edgeloop_tools.train.options import VERSION

REFUSED: Final = 3


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
        version = arguments.version or (following(active.manifest.version) if active else "1.0.0")
        if not VERSION.fullmatch(version):
            raise EdgeloopError("no version", where="--version", why=repr(version), mend="such as 1.2.0")
        out = folder / f"{arguments.name}-{version}.tar"
        options: dict[str, Any] = {
            "costs": costs, "seed": arguments.seed, "threads": job.cpus, "key": key,
            "parent": active.digest if active else None,
        }  # fmt: skip
        if boxed(data):
            options = {**options, "epochs": arguments.epochs}
            del options["costs"]
        if active is None:
            trained = fitted(data, out, arguments.name, version, **options)
            report(trained, version, arguments.json)
            return 0
        return _gated(arguments, data, active, out, version, costs, options, Path(scratch))


def fitted(data: DataSet, out: Path, name: str, version: str, **options: Any) -> Trained:
    """A detector where the labels are boxes, else a classifier. Raises EdgeloopError."""
    return (boxes.train if boxed(data) else train)(data, out, name, version, **options)


def _gated(
    arguments: argparse.Namespace, data: DataSet, active: Package, out: Path, version: str, costs: Costs,
    options: dict[str, Any], scratch: Path,
) -> int:  # fmt: skip
    fresh = out.with_name(f".{out.name}.new")
    trained = fitted(data, fresh, arguments.name, version, **options)
    decision = weighed(data, trained, active, costs, scratch)
    if not decision.accepted and not arguments.force:
        fresh.unlink()
        _say(arguments, trained, decision, None, version)
        return REFUSED
    if not decision.accepted:
        note = f"the gain gate refused it ({decision.line}); forced: {arguments.force}"
        trained = fitted(data, fresh, arguments.name, version, note=note, **options)
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
        report(replace(trained, path=out), version, False)


def weighed(data: DataSet, trained: Trained, active: Package, costs: Costs, scratch: Path) -> Decision:
    """What was trained against what is active: on the data set's test split where it has one, else on every labelled
    picture, each judged by a model that had not seen it, but for those that the active one learned from. What was
    picked for doubt does not count."""
    if data.splits.get("test"):
        return compared(data, unpack(trained.path, scratch / "new"), active, costs)
    held = trained.held_out
    known = _learned(active)
    fresh = [k for k, item in enumerate(held.items) if digest_of(data.path(item)) not in known]
    items = [held.items[k] for k in fresh]
    truth = Truth([i.kind or GOOD for i in items], held.groups[fresh], [str(i.about.get("site", "")) for i in items])
    shown = (pixels for _, pixels in pictures(data, items, []))
    new = Verdicts(held.fails[fresh], [held.labels[k] for k in fresh])
    both = [cost(v, truth, costs.escape, costs.reject) for v in (new, judge(active, shown, truth.good))]
    weight = weights(items)
    decision = weigh(both[0], both[1], truth, weight=weight)
    return missing(decision, active, [site for site, known in zip(truth.sites, weight > 0, strict=True) if known])


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
    weight = weights(tests)
    decision = weigh(both[0], both[1], truth, leaked=leaked(prints, np.stack(learned)), weight=weight)
    return missing(decision, active, [site for site, known in zip(truth.sites, weight > 0, strict=True) if known])


def missing(decision: Decision, active: Package, sites: list[str]) -> Decision:
    """Refused where a site that the active model was measured on has no held-out picture: nothing is known of it."""
    known = {name.removeprefix(AT_SITE) for name in active.manifest.metrics if name.startswith(AT_SITE)} - {""}
    if lost := sorted(known - set(sites)):
        decision.accepted = False
        decision.words.append(f"no picture is of site {lost[0]!r}, which the active model knows")
    return decision


def _learned(package: Package) -> set[str]:
    """Digests of the pictures that a package says it learned from."""
    if LEARNED not in package.manifest.files:
        return set()
    try:
        known = json.loads((package.folder / LEARNED).read_bytes())
    except ValueError:
        return set()
    return {str(each) for each in known} if isinstance(known, list) else set()


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
