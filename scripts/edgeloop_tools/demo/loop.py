"""`demo --loop`: a weak model at work, pictures it is unsure of, labels, a better model in use; and what each label was
worth, beside labels of parts by chance."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeloop import __version__
from edgeloop.clock import NS, elapsed
from edgeloop.errors import EdgeloopError
from edgeloop.models import store
from edgeloop_tools.core.builtin import RECIPES, STREAM_MANAGER
from edgeloop_tools.demo.curve import Point, page
from edgeloop_tools.demo.plan import BUCKET, CAMERA, GATE, MODELS, RUNTIME, SITE, UPLOAD
from edgeloop_tools.demo.run import Options, path_of_root
from edgeloop_tools.demo.view import Progress, View, choose
from edgeloop_tools.harness.line import Line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeloop_tools.label.dataset import Item

NAME: Final = "surface"
RATE: Final = 8
"""Parts a second."""
DEFECTIVE: Final = 0.3
FIRST, AFTER, TURNS = 24, 80, 3
"""Labels of the first model; new labels that a training is worth, half of them of the share that is kept at random, so
that limit and gate know the line's own mix; trainings."""
AT_RANDOM: Final = 0.25
"""Share of all parts that is kept whatever the model says."""
SPARE, LOOKED_AT = 2, 300
"""Times as many pictures as are labelled next have come; of the newest so many are chosen from."""
HELD_OUT: Final = 300
"""Later parts that each model is measured on, as many of them bad as on the line."""
PAST, LATER, CHANCE = 1_000_000, 2_000_000, 3_000_000
"""Numbers of the first of the parts that were labelled before, that are measured on, that chance labels."""
REFUSED: Final = 3
PATIENCE: Final = 1200 * NS
LOOK: Final = 1.0
GOOD: Final = "good"


@dataclass
class Story:
    """points: of each model that came into use; chance: of as many labels of parts by chance; spent: labels in all,
    those of models that the gate refused too."""

    points: list[Point] = field(default_factory=list)
    chance: list[Point] = field(default_factory=list)
    line: dict[str, dict[str, float]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    spent: int = FIRST

    @property
    def refused(self) -> str:
        """The gate's last words where it let no model through."""
        words = [each for each in self.said if each.startswith("gate: ")]
        return words[-1] if len(self.points) == 1 and words else ""

    @property
    def better(self) -> bool:
        return len(self.points) > 1 and self.points[-1].right > self.points[0].right

    def document(self) -> dict[str, Any]:
        return {
            "loop": {
                "labels": self.points[-1].labels, "spent": self.spent,
                "before": self.points[0].right, "after": self.points[-1].right,
                "models": [p.plain() for p in self.points], "chance": [p.plain() for p in self.chance],
                "line": self.line, "said": self.said,
            }
        }  # fmt: skip


def run(options: Options) -> int:
    """Exit code: 0 the line is better afterwards, 3 the gain gate let no model through. Raises EdgeloopError where the
    line does not come up, or is no better with a model that the gate let through."""
    from edgeloop_tools.demo.run import _build, _deploy, _stoppable, _writable, announce_install
    from edgeloop_tools.extras import need

    need("vision")
    root = path_of_root(options)
    path = _writable(options.report or root / "loop.json", given=options.report is not None)
    _build()
    announced = announce_install(root)
    view = choose(options.as_json, options.quiet)
    with _stoppable() as stop, Line(root, options.nucleus) as line, view:
        if announced:
            view.say("install", announced)
        progress = Progress("labels back into the model", options.duration)
        turns = Turns(line, view, progress, stop, options.seed)
        progress.installed = _deploy(line, turns, view, progress, stop)  # type: ignore[arg-type]
        if progress.installed is None:
            raise EdgeloopError("interrupted before anything ran")
        story = turns.play()
    path.write_text(json.dumps(story.document(), indent=1) + "\n")
    shown = path.with_suffix(".html")
    shown.write_text(page(story.points, story.chance))
    first, last = story.points[0], story.points[-1]
    if options.as_json:
        print(json.dumps({"event": "report", "report": story.document()}), flush=True)
    else:
        print(
            f"right before {first.right:.1%}, after {last.right:.1%} of {HELD_OUT} later parts of the line's own mix; "
            f"{last.labels} labels taught it, {first.labels} of them the first model; {story.spent} were spent in all\n"
            f"report  {path} and {shown.name}"
        )
    if story.refused:
        print(f"no model was let through; {story.refused}", file=sys.stderr)
        return REFUSED
    if not story.better:
        raise EdgeloopError("the line is no better", why=f"{first.right:.1%}, then {last.right:.1%}",
                            mend=f"see {path}")  # fmt: skip
    return 0


class Turns:
    """The line, its first model, and one turn of the loop after the other. Raises EdgeloopError."""

    def __init__(self, line: Line, view: View, progress: Progress, stop: threading.Event, seed: int) -> None:
        from edgeloop.sim.conveyor import Camera, Conveyor
        from edgeloop_tools.model.keys import generate

        self._line, self._view, self._progress, self._stop, self._seed = line, view, progress, stop, seed
        self.folder = line.root / "loop"
        self.folder.mkdir(mode=0o755)
        self._key, _, self._public = generate(self.folder / "release")
        self._belt = Camera(Conveyor(GATE, seed, defective=DEFECTIVE))
        numbers = range(LATER, LATER + 37 * HELD_OUT, 37)
        self._later = [(self._belt.image(n), _word(self._belt.part(n).kind)) for n in numbers]
        self._story = Story()
        self._asked: set[str] = set()
        self._first = self._taught(FIRST, PAST, self.folder / f"{NAME}-1.0.0.tar", self._key)

    @property
    def roots(self) -> dict[str, str]:
        return {
            **dict.fromkeys((RUNTIME, CAMERA, MODELS, UPLOAD), __version__),
            STREAM_MANAGER: str(RECIPES[STREAM_MANAGER].version),
        }

    def merge(self) -> dict[str, dict[str, Any]]:
        """Component → configuration."""
        camera = {
            "uri": f"simulator:?seed={self._seed}&rate={RATE}&defective={DEFECTIVE}", "asset": GATE, "policy": "every",
            "deadline": "2 s", "queue": 16, "model": NAME,
            "examples": {"below": 0.9, "most": 3600, "random": f"{AT_RANDOM:.0%}"},
        }  # fmt: skip
        return {
            RUNTIME: {"profiles": "core vision upload protocols"},
            CAMERA: {"site": SITE, "cameras": {GATE: camera}},
            MODELS: {
                "models": {NAME: {"uri": self._first[0].as_uri(), "digest": f"sha256:{self._first[1]}"}},
                "keys": {"release": self._public}, "probation": {"inferences": 3 * RATE, "time": "3 s"},
            },
            UPLOAD: {"site": SITE, "bucket": BUCKET, "every": "10 s"},
        }  # fmt: skip

    def play(self) -> Story:
        from edgeloop_tools.loop.plan import Deploy, Plan
        from edgeloop_tools.loop.run import WAITS, Loop

        self._until_active("1.0.0")
        self._measure(self._first[0], FIRST, "1.0.0")
        plan = Plan(
            model=NAME, work=str(self.folder / "work"), pictures=f"s3://{BUCKET}/hard_examples",
            labels=str(self.folder / "labels"), after=AFTER, first=str(self._first[0]),
            key=str(self._key), publish=str(self.folder / "shelf"), deploy=Deploy(core=str(self._line.root)),
            probation=120.0, seed=self._seed,
        )  # fmt: skip
        loop = Loop(plan, self._said)
        self._begin(loop.pictures)
        turn, end = 1, elapsed() + PATIENCE
        with _endpoint(str(self._line.core.status()["endpoint"])):
            while turn <= TURNS and elapsed() < end:
                self._look()
                labelled = self._label(loop.pictures, turn * AFTER)
                code = loop.once() if self._uploaded() else WAITS
                if code == WAITS:
                    continue
                turn, self._story.spent = turn + 1, labelled
                if code == 0:
                    self._until_active(loop.state.version)
                    self._measure(Path(loop.state.active), labelled, loop.state.version)
        for labels in [point.labels for point in self._story.points]:
            package, _ = self._taught(labels, CHANCE, self.folder / "chance" / f"{labels}.tar", None)
            self._story.chance.append(Point(labels, "by chance", *self._judged(package)))
        self._story.line = self._seen()
        return self._story

    # -- inside --------------------------------------------------------------------------------------------------------

    def _said(self, text: str) -> None:
        self._story.said.append(text)
        self._view.say("model", text)

    def _look(self) -> None:
        self._line.poll(measure=False)
        self._view.show(self._line, self._progress)
        if self._stop.wait(LOOK):
            raise EdgeloopError("the demo was ended", why="before the loop was through")

    def _until_active(self, version: str) -> None:
        end = elapsed() + PATIENCE
        while True:
            pointer = store.read(store.directory(self._line.root, NAME))
            if pointer and pointer.active and (pointer.active.version, pointer.state) == (version, "committed"):
                self._view.say("model", f"{NAME} {version} serves")
                return
            self._look()
            if elapsed() > end:
                raise EdgeloopError("the model does not come into use", where=version,
                                    mend=f"see {self._line.root / 'logs'}")  # fmt: skip

    def _taught(self, count: int, start: int, path: Path, key: Path | None) -> tuple[Path, str]:
        """A model of so many parts by chance, labelled by the simulator."""
        from edgeloop_tools.label.dataset import DataSet, Item
        from edgeloop_tools.model.keys import private
        from edgeloop_tools.train.images.run import train

        folder = self.folder / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        items = []
        for number in range(start, start + 41 * count, 41):
            name = f"{number}.jpg"
            _write(folder / name, self._belt.image(number))
            items.append(Item(name, _word(self._belt.part(number).kind), by="simulator"))
        made = train(
            DataSet(folder, items, [GOOD, "bad"]), path, NAME, seed=self._seed,
            key=private(key) if key else None,
        )  # fmt: skip
        path.chmod(0o644)
        return path, made.digest

    def _uploaded(self) -> bool:
        """Whether anything has come to the bucket."""
        import boto3
        from botocore.exceptions import ClientError

        try:
            return bool(boto3.client("s3").list_objects_v2(Bucket=BUCKET, MaxKeys=1).get("Contents"))
        except ClientError:
            return False

    def _begin(self, pictures: Path) -> None:
        """The first model's pictures stay in the data set."""
        pictures.mkdir(parents=True)
        for path in sorted((self.folder / self._first[0].stem).glob("*.jpg")):
            (pictures / path.name).write_bytes(path.read_bytes())

    def _label(self, pictures: Path, paid: int) -> int:
        """What a person would do: a word on the pictures that are worth it, a batch at a time, as many as are paid for;
        the simulator knows the truth. All labels spent."""
        from edgeloop_tools.label.dataset import DataSet, Item, sidecar, write
        from edgeloop_tools.train.images.mix import at_random

        first, fresh = [], []
        for path in sorted(pictures.glob("*.jpg")):
            about = sidecar(path)
            truth = self._line.recording.parts.get((GATE, str(about.get("part", ""))))
            if truth is not None:
                fresh.append(Item(str(path), _word(truth.label), by="simulator", about=about))
            elif path.stem.isdigit():
                first.append(Item(str(path), _word(self._belt.part(int(path.stem)).kind), by="simulator"))
        rest = [item for item in fresh if item.source not in self._asked]
        chance = sum(at_random(item) for item in rest)
        if len(rest) >= SPARE * AFTER and chance >= AFTER / 2 and len(self._asked) < paid:
            self._asked |= self._worth(pictures, first, fresh)
        told = [item for item in fresh if item.source in self._asked]
        write(DataSet(pictures, [*first, *told], [GOOD, "bad"]), self.folder / "labels")
        return len(first) + len(told)

    def _worth(self, pictures: Path, first: Sequence[Item], fresh: Sequence[Item]) -> set[str]:
        """Of what came the pictures whose labels teach most, as `edgeloop label --next` chooses them."""
        from edgeloop_tools.label.dataset import DataSet
        from edgeloop_tools.label.run import most_taught

        fresh = [item for item in fresh if item.source in self._asked] + [
            replace(item, label="") for item in fresh if item.source not in self._asked
        ][-LOOKED_AT:]
        data = DataSet(pictures, [*first, *fresh], [GOOD, "bad"])
        return {data.items[k].source for k in most_taught(data, AFTER)}

    def _measure(self, package: Path, labels: int, version: str) -> None:
        point = Point(labels, version, *self._judged(package))
        self._story.points.append(point)
        of = f"of {HELD_OUT} later parts of the line's mix"
        self._said(f"{version}: {point.right:.1%} {of} right, {labels} labels spent so far")

    def _judged(self, package: Path) -> tuple[float, float, float]:
        """Of later parts: right; of the bad ones passed; of the good ones rejected."""
        import tempfile

        import numpy as np

        from edgeloop.models.package import unpack
        from edgeloop_tools.loop.gate import judge

        bad = np.array([word == "bad" for _, word in self._later])
        with tempfile.TemporaryDirectory() as scratch:
            fails = judge(unpack(package, Path(scratch)), [p for p, _ in self._later], frozenset({GOOD}), 2).fails
        return float((fails == bad).mean()), float((~fails[bad]).mean()), float(fails[~bad].mean())

    def _seen(self) -> dict[str, dict[str, float]]:
        """Of the parts that went by on the line, by the model that judged them."""
        found: dict[str, list[bool]] = {}
        for each in list(self._line.recording.inspections):
            seen = each.inspection
            truth = self._line.recording.parts.get((seen.camera, seen.part))
            if truth is not None and seen.model.version and seen.verdict != "unknown":
                right = (seen.verdict == "pass") == (truth.label == GOOD)
                found.setdefault(seen.model.version, []).append(right)
        return {v: {"parts": len(rights), "right": round(sum(rights) / len(rights), 4)} for v, rights in found.items()}


def _word(kind: str) -> str:
    return GOOD if kind == GOOD else "bad"


def _write(path: Path, pixels: Any) -> None:
    from camera_inference.pictures import jpeg

    path.write_bytes(jpeg(pixels, "rgb", 95))


@contextmanager
def _endpoint(url: str) -> Iterator[None]:
    """The core's own S3, for everything that asks boto3."""
    wanted = {"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "loop", "AWS_SECRET_ACCESS_KEY": "-",
              "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
