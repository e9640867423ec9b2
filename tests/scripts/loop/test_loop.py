"""The loop closed: a weak model, pictures it was unsure of, labels from the simulator's truth, a better one in use."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeloop.errors import EdgeloopError
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import store
from edgeloop.models.package import open_package, unpack
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.cli import main
from edgeloop_tools.label.dataset import DataSet, Item, read, write
from edgeloop_tools.loop.gate import judge
from edgeloop_tools.loop.plan import read as read_plan
from edgeloop_tools.loop.run import Loop
from edgeloop_tools.model.keys import public as public_key
from edgeloop_tools.train.images.run import train
from model_update.configuration import Configuration, Model
from model_update.declaration import NAME
from model_update.updates import Updates

SEEDS = range(5) if os.environ.get("EDGELOOP_LONG") else (1,)
GOOD = frozenset({"good"})


def label_of(camera: Camera, number: int) -> str:
    return "good" if camera.part(number).kind == "good" else "bad"


def parts(camera: Camera, numbers: range, folder: Path) -> list[Item]:
    """Pictures with their prediction beside them, as they were uploaded; labelled by the simulator's truth."""
    folder.mkdir(parents=True, exist_ok=True)
    items = []
    for number in numbers:
        name = f"gate_{number:06}.png"
        cv2.imwrite(str(folder / name), camera.image(number)[:, :, ::-1])
        said = {"camera": "gate", "part": f"1-{number}", "time": number * 10**10, "confidence": 0.6, "site": "a"}
        (folder / f"gate_{number:06}.json").write_text(json.dumps(said))
        items.append(Item(name, label_of(camera, number), by="simulator"))
    return items


def accuracy(package: Path, camera: Camera, numbers: range, scratch: Path) -> float:
    found = judge(unpack(package, scratch), [camera.image(n) for n in numbers], GOOD)
    return float(np.mean([f == (label_of(camera, n) == "bad") for f, n in zip(found.fails, numbers, strict=True)]))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_line_is_better_after_a_turn_of_the_loop(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera = Camera(Conveyor("gate", seed, 128, 96, defective=0.5))
    few = parts(camera, range(0, 24), tmp_path / "few")
    weak = train(DataSet(tmp_path / "few", few, ["good", "bad"]), tmp_path / "surface-1.0.0.tar", "surface")
    uploaded = parts(camera, range(1000, 7000, 30), tmp_path / "uploaded")
    labels = tmp_path / "labels"
    write(DataSet(tmp_path / "uploaded", uploaded, ["good", "bad"]), labels)
    assert main(["model", "keygen", "-o", str(tmp_path / "release")]) == 0
    _, public = public_key(str(tmp_path / "release.pub"))
    plan = tmp_path / "LOOP.yaml"
    plan.write_text(
        "model: surface\nwork: work\npictures: uploaded\nlabels: labels\nafter: 20\nfirst: surface-1.0.0.tar\n"
        "key: release.key\npublish: shelf\n"
    )
    assert main(["loop", "run", str(plan), "--once"]) == 0
    said = capsys.readouterr().out
    assert "gate: it saves" in said
    shelf = tmp_path / "work" / ".." / "shelf" / "surface-1.1.0.tar"
    keys = {"release": public}
    better = unpack(shelf, tmp_path / "opened", keys=keys)
    assert better.manifest.provenance.parent == weak.digest

    root, work = tmp_path / "root", tmp_path / "root" / "work" / NAME
    work.mkdir(parents=True)
    health = Health(NAME, lambda document: None)
    with Updates(root, work, lambda *message: None, health, Log("ModelUpdate", "error")) as updates:
        model = Model(uri=shelf.resolve().as_uri(), digest=better.digest)
        updates.apply(Configuration(models={"surface": model}, keys=keys))
        updates.advance()
    pointer = store.read(store.directory(root, "surface"))
    assert pointer is not None
    assert pointer.active is not None
    assert pointer.active.digest == better.digest
    assert open_package(store.directory(root, "surface") / better.digest).manifest.version == "1.1.0"

    later = range(20_000, 20_000 + 70 * 30, 30)
    before = accuracy(weak.path, camera, later, tmp_path / "a")
    after = accuracy(shelf, camera, later, tmp_path / "b")
    print(f"seed {seed}: {before:.3f} -> {after:.3f} with {len(uploaded)} labels")
    assert after > before
    assert main(["loop", "run", str(plan)]) == 4
    assert "0 new ones, 20 are waited for" in capsys.readouterr().out


def test_what_was_done_is_not_done_again_and_one_runs_at_a_time(tmp_path: Path) -> None:
    camera = Camera(Conveyor("gate", 2, 96, 80, defective=0.5))
    parts(camera, range(6), tmp_path / "uploaded")
    plan = tmp_path / "LOOP.yaml"
    plan.write_text("model: surface\nwork: work\npictures: uploaded\nask: [train]\n")
    said: list[str] = []
    loop = Loop(read_plan(plan), said.append)
    assert loop.once() == 4
    assert said[-1] == "train: waits for a person"
    assert read(tmp_path / "work").items[0].about["part"] == "1-0"
    again: list[str] = []
    assert Loop(read_plan(plan), again.append).once() == 4
    assert again == ["train: waits for a person"]
    with (tmp_path / "work" / "loop.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(EdgeloopError, match="the loop runs already"):
            Loop(read_plan(plan)).once()
    (tmp_path / "work" / "loop.json").write_text("{")
    with pytest.raises(EdgeloopError, match="state is damaged"):
        Loop(read_plan(plan)).once()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "it is no map"), ("model: A B\nwork: w", "model"), ("model: a\nwork: w\nevery: 3", "every"),
        ("a: [", "cannot"),
    ],
)  # fmt: skip
def test_a_plan_that_is_none_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "LOOP.yaml").write_text(text)
    with pytest.raises(EdgeloopError, match=said) as error:
        read_plan(tmp_path / "LOOP.yaml")
    assert "\n" not in str(error.value)


def test_what_operators_said_and_a_queue_s_envelopes_are_read(tmp_path: Path) -> None:
    """As StreamUpload leaves them in a bucket: pictures with their entry, records as JSON lines."""
    camera = Camera(Conveyor("gate", 3, 96, 80, defective=0.5))
    day = tmp_path / "hard_examples" / "site=a" / "date=2026-11-29"
    day.mkdir(parents=True)
    for number in range(4):
        name = f"press9_gate_{number}.jpg"
        cv2.imwrite(str(day / name), camera.image(number)[:, :, ::-1])
        entry = {"kind": "hard_examples", "name": name, "time": 5, "crc": "00000000",
                 "document": {"camera": "gate", "part": f"1-{number}", "verdict": "fail", "kept": "below"}}  # fmt: skip
        (day / f"{name}.json").write_text(json.dumps(entry))
    records = tmp_path / "records" / "site=a" / "kind=labels"
    records.mkdir(parents=True)

    def said(part: str, label: str, time: int, device: str = "press9") -> str:
        record = {"schema": 2, "subject": f"part:{device}/gate/{part}", "label": label, "by": "Ana", "time": time,
                  "source": "operator"}  # fmt: skip
        return json.dumps({"device": device, "kind": "labels", "document": record})

    lines = [said("1-0", "scratch", 7), said("1-0", "good", 9), said("1-1", "dent", 8), "no JSON", '{"document": 3}',
             said("1-2", "stain", 9, "press8"), said("1-2", "good", 1)]  # fmt: skip
    (records / "a.jsonl").write_text("\n".join(lines) + "\n")
    plan = tmp_path / "LOOP.yaml"
    plan.write_text("model: surface\nwork: work\npictures: hard_examples\nanswers: records\nask: [train]\n")
    loop = Loop(read_plan(plan), lambda line: None)
    assert loop.once() == 4
    items = {i.about["part"]: i for i in loop.data().items}
    wanted = {"1-0": "good", "1-1": "dent", "1-2": "good", "1-3": ""}
    assert {part: item.label for part, item in items.items()} == wanted
    assert (items["1-0"].by, items["1-0"].time, items["1-0"].about["kept"]) == ("Ana", 9, "below")
