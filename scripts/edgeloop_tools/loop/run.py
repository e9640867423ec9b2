"""The loop, step by step: each is whole or not there, what was done is not done again, and one runs at a time."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from camera_inference.sources import STILLS
from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop.models.package import unpack
from edgeloop.models.versions import following
from edgeloop_tools.harness.single import single
from edgeloop_tools.label.dataset import MANIFEST, DataSet, Item, read, sidecar, write
from edgeloop_tools.loop.answers import Answer, answers, of_picture
from edgeloop_tools.loop.estimate import estimate
from edgeloop_tools.loop.plan import STEPS, Plan, Step
from edgeloop_tools.model.keys import private
from edgeloop_tools.train.images.command import REFUSED, costs_of, weighed
from edgeloop_tools.train.images.run import train

STATE: Final = "loop.json"
WAITS: Final = 4
"""Exit code: a person, or more labels, is waited for."""
LOOK: Final = 0.5
PICTURES: Final = (*STILLS, ".json")
ANSWERS: Final = (".jsonl",)


class State(msgspec.Struct, kw_only=True):
    """What a run has done. digest: of the data set that the last training used; package: its outcome; failed: of the
    data set that the gate refused, so that it is not trained again unchanged."""

    schema: int = 2
    step: Step = "fetch"
    labelled: int = 0
    digest: str = ""
    package: str = ""
    version: str = ""
    published: str = ""
    active: str = ""
    failed: str = ""
    said: list[str] = []


Said = Callable[[str], None]


class Loop:
    """One plan's work folder. `once` goes as far as it can. Raises EdgeloopError; what was done by then stays done."""

    def __init__(self, plan: Plan, said: Said = print, asked: Callable[[str], bool] = lambda question: False) -> None:
        self.plan, self._said, self._asked = plan, said, asked
        self.folder = Path(plan.work)
        self.pictures, self.answers = self.folder / "pictures", self.folder / "answers"
        self._path = self.folder / STATE
        self.state = State()

    def once(self) -> int:
        """Exit code: 0 a better model is in use, or nothing is new; 3 the gate refused; 4 it waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with single(self.folder / "loop.lock", "the loop runs already"):
            self.state = self._load()
            steps: dict[Step, Callable[[], int | None]] = {
                "fetch": self._fetch, "labels": self._labels, "train": self._train, "publish": self._publish,
                "deploy": self._deploy, "probation": self._probation,
            }  # fmt: skip
            for step in STEPS[STEPS.index(self.state.step) :]:
                self._put(step=step)
                if step in self.plan.ask and not self._asked(f"{self.plan.model}: {step}? "):
                    self._said(f"{step}: waits for a person")
                    return WAITS
                code = steps[step]()
                if code is not None:
                    self._put(step="fetch")
                    return code
            self._put(step="fetch")
            return 0

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _fetch(self) -> int | None:
        """New pictures and their sidecars, and what operators said of parts, by name; each is whole or not there."""
        self.pictures.mkdir(exist_ok=True)
        count = sum(_kept(self.pictures / name, fetch) for name, fetch in _sources(self.plan.pictures, PICTURES))
        if self.plan.answers:
            self.answers.mkdir(exist_ok=True)
            count += sum(_kept(self.answers / name, fetch) for name, fetch in _sources(self.plan.answers, ANSWERS))
        self._said(f"fetch: {count} new files")
        return None

    def _labels(self) -> int | None:
        """Labels of the data set that people work on, and of operators in the sidecars, joined to the pictures."""
        data = self.data()
        write(data, self.folder)
        labelled = sum(bool(i.kind) for i in data.items)
        new = labelled - self.state.labelled
        known = estimate(data.items, self.state.version)
        if known.count:
            self._said(f"labels: {known}")
        urgent = new > 0 and known.low > self.plan.errors
        if new < self.plan.after and not urgent and self._active() is not None:
            self._said(
                f"labels: {new} new ones, {self.plan.after} are waited for (`edgeloop label {self.folder} --serve`)"
            )
            return WAITS
        if data.digest() == self.state.failed:
            self._said("labels: the gate refused a model of just these; more or other ones are waited for")
            return WAITS
        self._said(f"labels: {labelled} of {len(data.items)} pictures, {new} new")
        return None

    def _train(self) -> int | None:
        data = self.data()
        write(data, self.folder)
        digest, labelled = data.digest(), sum(bool(i.kind) for i in data.items)
        active = self._active()
        costs = costs_of(self.plan.costs)
        key = private(Path(self.plan.key)) if self.plan.key else None
        with tempfile.TemporaryDirectory() as scratch:
            before = unpack(active, Path(scratch) / "active") if active else None
            version = following(before.manifest.version) if before else "1.0.0"
            out = self.folder / f"{self.plan.model}-{version}.tar"
            trained = train(
                data, out, self.plan.model, version, costs=costs, seed=self.plan.seed, key=key,
                parent=before.digest if before else None,
            )  # fmt: skip
            if before is not None:
                decision = weighed(data, trained, before, costs, Path(scratch))
                self._said(f"gate: {decision.line}")
                if not decision.accepted:
                    out.unlink()
                    self._put(failed=digest, labelled=labelled)
                    return REFUSED
        self._put(package=str(out), version=version, digest=digest, labelled=labelled, failed="")
        self._said(f"train: {version}, held out {trained.metrics['accuracy']:.1%} of {labelled} labels")
        return None

    def _publish(self) -> int | None:
        if not self.plan.publish:
            return None
        from edgeloop_tools.model.publish import publish

        to = self.plan.publish
        if "://" not in to:
            Path(to).mkdir(parents=True, exist_ok=True)
        _, published, _ = publish(Path(self.state.package), to, unsigned=not self.plan.key)
        self._put(published=published.uri)
        self._said(f"publish: {published.uri}")
        return None

    def _deploy(self) -> int | None:
        wanted = self.plan.deploy
        package = Path(self.state.package)
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if wanted is not None and wanted.core:
            from edgeloop_tools.teach.activate import activate

            activate(self.plan.model, package, digest, "", Path(wanted.core), True)
            self._said(f"deploy: {self.state.version} is active on the core at {wanted.core}")
        elif wanted is not None and wanted.thing_group:
            from edgeloop_tools.cli import main

            words = ["deploy", "--thing-group", wanted.thing_group, "--line", wanted.line, "--wait"]
            if code := main(words):
                raise EdgeloopError("the deployment failed", where=wanted.thing_group, why=f"exit code {code}")
        self._put(active=self.state.package)
        return None

    def _probation(self) -> int | None:
        wanted = self.plan.deploy
        if wanted is None or not wanted.core:
            return None
        digest = hashlib.sha256(Path(self.state.package).read_bytes()).hexdigest()
        folder, end = store.directory(Path(wanted.core), self.plan.model), time.monotonic() + self.plan.probation
        while time.monotonic() < end:
            pointer = store.read(folder)
            ours = pointer is not None and pointer.active is not None and pointer.active.digest == digest
            if not ours:
                raise EdgeloopError("the model was taken back", where=self.plan.model, why="see ModelUpdate's history")
            if pointer is not None and pointer.state == "committed":
                self._said(f"probation: {self.state.version} stays")
                return None
            time.sleep(LOOK)
        self._said("probation: goes on; run the loop again to see its end")
        return WAITS

    # -- inside --------------------------------------------------------------------------------------------------------

    def data(self) -> DataSet:
        """Every picture, with the newest label known of it."""
        known: dict[str, Item] = {}
        places = [Path(self.plan.labels)] if self.plan.labels else [self.folder]
        classes: list[str] = []
        for place in places:
            if place.is_dir() and not (place / MANIFEST).is_file():
                if place == self.folder:
                    continue
                data = read(place)
            elif place.exists():
                data = read(place)
            else:
                raise EdgeloopError("there are no labels", where=str(place), mend="correct `labels`")
            classes += [name for name in data.classes if name not in classes]
            known |= {Path(i.source).name: i for i in data.items if i.kind}
        items = []
        said = answers(self.answers)
        for path in sorted(p for p in self.pictures.iterdir() if p.suffix.lower() in STILLS):
            about = sidecar(path)
            given = _newer(known.get(path.name), of_picture(said, path.name, about))
            label = given.label if given else ""
            items.append(Item(
                f"pictures/{path.name}", label, given.boxes if given else (), given.polygons if given else (),
                by=given.by if given else "", time=given.time if given else 0, about=about,
            ))  # fmt: skip
        if not items:
            raise EdgeloopError("the loop has no pictures", where=str(self.pictures), mend="name them with `pictures`")
        classes += sorted({i.kind for i in items} - {"", *classes})
        return DataSet(self.folder, items, classes)

    def _active(self) -> Path | None:
        """The package to be beaten."""
        for name in (self.state.active, self.plan.first):
            if name and Path(name).is_file():
                return Path(name)
        return None

    def _load(self) -> State:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.MsgspecError) as error:
            raise EdgeloopError("the loop's state is damaged", where=str(self._path), why=str(error),
                                mend="delete it: the loop begins anew, labels stay") from None  # fmt: skip

    def _put(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self.state, name, value)
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self.state), indent=1))
        os.replace(fresh, self._path)


def _kept(path: Path, fetch: Callable[[], bytes]) -> int:
    if path.exists():
        return 0
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(fetch())
    os.replace(fresh, path)
    return 1


def _newer(item: Item | None, answer: Answer | None) -> Item | None:
    """The later of a data set's label and an operator's word."""
    if answer is None or (item is not None and item.time > answer.time):
        return item
    return Item("", answer.label, by=answer.by, time=answer.time)


def _sources(source: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names and what reads them, of a folder or of S3. Raises EdgeloopError."""
    if source.startswith("s3://"):
        from edgeloop_tools.loop.bucket import objects

        yield from objects(source, suffixes)
    elif source:
        top = Path(source)
        if not top.is_dir():
            raise EdgeloopError("there is no such folder", where=source, mend="correct the loop's plan")
        for path in sorted(p for p in top.rglob("*") if p.is_file() and p.suffix.lower() in suffixes):
            yield _flat(path.relative_to(top)), path.read_bytes


def _flat(path: Path) -> str:
    return "_".join(path.parts)


def run(plan: Plan, every: float, once: bool) -> int:
    """Again and again, unless once: an error is told and tried again with the next round."""
    asked = (lambda question: input(f"{question}[y/N] ").lower().startswith("y")) if sys.stdin.isatty() else None
    loop = Loop(plan, asked=asked or (lambda question: False))
    while True:
        if once:
            return loop.once()
        try:
            loop.once()
        except EdgeloopError as error:
            print(f"edgeloop: {error}", file=sys.stderr)
        time.sleep(every)
