"""CameraInference as a process: parts, kills, cameras that are not there, models that are no good."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_inference.declaration import DECLARATION, NAME
from edgeloop import documents, topics
from edgeloop.models import store
from edgeloop.models.package import unpack
from edgeloop.models.store import Ref, Shelf
from edgeloop.queue import QueueReader
from edgeloop.sim.conveyor import Camera, Conveyor
from edgeloop_tools.build.archive import pyz

ROOT = Path(__file__).parents[2]
ACT = {"source": "press1", "target": "stop", "value": 1}


def verdicts(plant: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for result in plant.results():
        found.setdefault(result["part"], set()).add(result["verdict"])
    return found


def test_parts_are_judged_rejected_and_kept(plant: Any) -> None:
    plant.configure(
        cameras={
            "gate": {
                "uri": "simulator:?seed=7&rate=12&defective=0.5",
                "policy": "every",
                "deadline": "3 s",
                "reject": ACT,
                "examples": {"below": 0.999},
            }
        }
    )
    plant.start()
    plant.wait(lambda: sum(r["verdict"] == "fail" for r in plant.results()) >= 4)
    plant.wait(lambda: sum(r["verdict"] == "pass" for r in plant.results()) >= 4)
    plant.wait(lambda: plant.documents("edgeloop/actions/press1"))
    truth = {t["part"]: t["label"] for t in plant.documents(topics.TRUTH)}
    judged = [r for r in plant.results() if r["verdict"] != "unknown"]
    right = [(truth[r["part"]] == "good") == (r["verdict"] == "pass") for r in judged]
    assert sum(right) >= 0.8 * len(right)
    failed = next(r for r in judged if r["verdict"] == "fail")
    assert failed["model"]["name"] == "visual_inspection"
    assert failed["boxes"]
    assert all(0 <= box[side] <= 1 for box in failed["boxes"] for side in ("x", "y", "width", "height"))
    action = plant.documents("edgeloop/actions/press1")[0]
    assert action["target"] == "stop"
    assert action["armed"] is False
    assert action["expires"] - action["issued"] == 2 * 10**9
    plant.wait(lambda: list((plant.work / "evidence" / "gate").glob("[0-9]*.jpg")))
    reader = QueueReader(plant.root, NAME)
    plant.wait(lambda: {"hard_examples", "results"} <= {e.kind for e in reader.entries()})
    entry = next(e for e in reader.entries() if e.kind == "hard_examples")
    path, description = reader.describe(entry)
    assert cv2.imread(str(path)).shape == (240, 320, 3)
    assert description.document["part"] in truth
    assert '"problem"' not in plant.log()


def test_kills_leave_exactly_one_verdict_for_each_part(plant: Any) -> None:
    plant.configure(
        cameras={"gate": {"uri": "simulator:?seed=3&rate=40", "policy": "every", "deadline": "400 ms", "safe": ACT}}
    )
    rng = random.Random(5)
    for _ in range(6):
        seen = len(plant.results())
        process = plant.start()
        plant.wait(lambda seen=seen: len(plant.results()) > seen + 8)
        time.sleep(rng.uniform(0.0, 0.4))
        process.kill()
        process.wait(60)
    seen = len(plant.results())
    process = plant.start()
    plant.wait(lambda: len(plant.results()) > seen + 60)
    process.terminate()
    assert process.wait(60) == 0
    triggered = {t["part"] for t in plant.documents(topics.TRUTH)}

    def answered() -> bool:
        """What an end in a hurry leaves unsaid is said by the next process."""
        found = verdicts(plant)
        unknown = {part for part in triggered if found.get(part) == {"unknown"}}
        return triggered <= set(found) and unknown <= fired()

    def fired() -> set[str]:
        return {a["cause"]["part"] for a in plant.documents("edgeloop/actions/press1")}

    process = plant.start()
    plant.wait(answered)
    process.kill()
    process.wait(60)
    found = verdicts(plant)
    numbers = sorted(int(part.rpartition("-")[2]) for part in found)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert all(len(words) == 1 for words in found.values())
    assert any("unknown" in words for words in found.values())
    assert any("unknown" not in words for words in found.values())
    assert {part.partition("-")[0] for part in found} == {part.partition("-")[0] for part in triggered}
    assert {part for part in fired() & found.keys() if found[part] != {"unknown"}} == set()
    ids = {a["cause"]["part"]: a["id"] for a in plant.documents("edgeloop/actions/press1")}
    assert len(set(ids.values())) == len(ids)


def test_what_is_not_there_degrades_and_recovers(plant: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    plant.configure(
        cameras={
            "absent": {"uri": "/dev/video63"},
            "remote": {"uri": "rtsp://admin:secret@127.0.0.1:9/live"},
            "folder": {
                "uri": f"folder:{images}?poll=50 ms", "model": "visual_inspection", "policy": "every",
                "deadline": "5 s",
            },
            "wrong": {"uri": "gopher://x"},
            "gate": {"uri": "simulator:?seed=1&rate=10"},
        }
    )
    process = plant.start()
    plant.wait(lambda: all(f"camera.{id}" in plant.problems() for id in ("absent", "remote", "folder", "wrong.uri")))
    assert "admin:secret" not in plant.log()
    assert ":secret@" not in plant.log()
    images.mkdir()
    good = Camera(Conveyor("gate", 1)).image(0)[:, :, ::-1]
    whole = cv2.imencode(".png", good)[1].tobytes()
    (images / "a.png").write_bytes(whole)
    (images / "b.png").write_bytes(whole[: len(whole) // 2])
    (images / "c.jpg").write_bytes(b"no image")
    plant.wait(lambda: {"a.png", "b.png", "c.jpg"} <= {r.get("part", "") for r in plant.results()})
    by_part = {r["part"]: r for r in plant.results() if r.get("part")}
    assert "cut off" in by_part["b.png"]["reason"]
    assert by_part["c.jpg"]["verdict"] == by_part["b.png"]["verdict"] == "unknown"
    assert by_part["a.png"]["verdict"] in ("pass", "fail")
    plant.wait(lambda: plant.health()["counters"].get("bad_frames.folder") == 2)
    fresh = images / "d.png"
    fresh.write_bytes(whole)
    os.utime(fresh, ns=(time.time_ns(), time.time_ns()))
    plant.wait(lambda: "camera.folder" not in plant.problems())
    assert process.poll() is None
    assert any(r["camera"] == "gate" for r in plant.results())


def test_a_camera_that_sees_nothing_is_an_alarm(plant: Any, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    eye = Camera(Conveyor("gate", 1, defective=0.0))

    def put(name: str, image: Any) -> None:
        cv2.imwrite(str(images / f".{name}.png"), image)
        (images / f".{name}.png").rename(images / f"{name}.png")
        os.utime(images / f"{name}.png", ns=(time.time_ns(), time.time_ns()))

    camera = {"policy": "every", "deadline": "20 s", "safe": ACT, "asset": "press1"}
    plant.configure(cameras={"gate": {"uri": f"folder:{images}?poll=50 ms", "model": "visual_inspection", **camera}})
    process = plant.start()
    plant.wait(lambda: plant.health())
    for number in range(3):
        put(f"dark{number}", np.zeros((240, 320, 3), np.uint8))
    plant.wait(lambda: any(t.startswith("edgeloop/alarms/") for t in plant.messages))
    topic = next(t for t in plant.messages if t.startswith("edgeloop/alarms/"))
    raised = plant.documents(topic)[0]
    assert (raised["kind"], raised["state"], raised["asset"]) == ("camera", "raised", "press1")
    assert "dark" in raised["text"]
    assert {(r["verdict"], "model" in r) for r in plant.results()} == {("unknown", False)}
    assert len(plant.documents("edgeloop/actions/press1")) == 3
    acknowledge = {"command": "acknowledge", "id": raised["id"], "reason": "true"}
    plant.bus.publish(topics.ALARM_COMMANDS, documents.encode(acknowledge))
    plant.wait(lambda: plant.documents(topic)[-1]["state"] == "acknowledged")
    process.kill()
    process.wait(60)
    process = plant.start()
    for number in range(3):
        put(f"good{number}", eye.image(number)[:, :, ::-1])
    plant.wait(lambda: plant.documents(topic)[-1]["state"] == "cleared")
    plant.wait(lambda: plant.problems() == "[]")
    reader = QueueReader(plant.root, NAME)
    assert "alarms" in {entry.kind for entry in reader.entries()}
    process.terminate()
    assert process.wait(60) == 0


def test_models_that_are_no_good_make_way(plant: Any, tmp_path: Path, make_model: Any) -> None:
    camera = {"uri": "simulator:?seed=1&rate=20", "policy": "every", "model": "brightness", "deadline": "300 ms"}
    plant.configure(cameras={"gate": camera})
    process = plant.start()
    plant.wait(lambda: any(r["verdict"] == "unknown" for r in plant.results()))
    plant.wait(lambda: "model.brightness" in plant.problems())
    archive = tmp_path / "brightness.tar"
    digest = make_model(archive, width=320, height=240)
    shelf = Shelf(store.directory(plant.root, "brightness"), "brightness")
    unpack(archive, shelf.folder)
    shelf.activate(Ref(digest=digest, version="1.0.0"), time.time_ns())
    plant.bus.publish("edgeloop/models/brightness", b"{}")
    plant.wait(lambda: any(r.get("model", {}).get("name") == "brightness" for r in plant.results()))
    plant.wait(lambda: plant.problems() == "[]")
    shelf.commit(time.time_ns())
    wrong = make_model(archive, width=64, height=48, version="2.0.0")
    model = unpack(archive, shelf.folder).folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-20])
    shelf.activate(Ref(digest=wrong, version="2.0.0"), time.time_ns())
    seen = len(plant.results())
    plant.bus.publish("edgeloop/models/brightness", b"{}")
    plant.wait(lambda: "changed" in plant.problems())
    plant.wait(lambda: len(plant.results()) > seen + 10)
    judged = [r["model"]["version"] for r in plant.results()[seen:] if "model" in r]
    assert set(judged) == {"1.0.0"}
    assert plant.results()[-1]["verdict"] in ("pass", "fail")
    assert process.poll() is None
    report = documents.decode((plant.work / "models" / "brightness.json").read_bytes())
    assert report["fate"] == "rejected"


def test_the_archive_finds_the_model_beside_it(plant: Any, tmp_path: Path) -> None:
    archive = tmp_path / "camera_inference.pyz"
    archive.write_bytes(pyz(DECLARATION))
    shutil.copy(ROOT / "components" / "models" / "visual_inspection" / "visual_inspection.tar", tmp_path)
    plant.configure(cameras={"gate": {"uri": "simulator:?rate=10", "policy": "every", "deadline": "3 s"}})
    process = plant.start(archive)
    plant.wait(lambda: any(r["verdict"] == "pass" for r in plant.results()))
    plant.configure(
        cameras={
            "gate": {"uri": "simulator:?rate=10", "policy": "latest"},
            "other": {"uri": "simulator:?seed=2", "policy": "no"},
        }
    )
    plant.wait(lambda: plant.log().count("camera started") == 2)
    seen = len(plant.results())
    plant.wait(lambda: len(plant.results()) > seen + 1)
    plant.wait(lambda: "cameras.other.policy" in plant.problems())
    plant.configure(threads=2)
    plant.wait(lambda: plant.log().count("camera started") == 3)
    seen = len(plant.results())
    plant.wait(lambda: len(plant.results()) > seen + 1)
    process.terminate()
    assert process.wait(60) == 0
    assert "Traceback" not in plant.log()


def test_what_a_person_says_of_a_part_goes_up(plant: Any) -> None:
    plant.configure(cameras={"gate": {"uri": "simulator:?seed=1&rate=10", "policy": "every"}})
    process = plant.start()
    plant.wait(lambda: plant.results())
    part = plant.results()[0]["part"]
    record = {
        "schema": 2, "subject": f"part:unknown/gate/{part}", "label": "scratch", "by": "Ana", "time": 1, "boxes": [],
        "source": "page", "time_rfc3339": "1970-01-01T00:00:00Z", "replaces": "",
    }  # fmt: skip
    command = {"command": "label", "camera": "gate", "part": part, "record": record}
    for wrong in ({**command, "camera": "other"}, {**command, "record": {**record, "label": ""}}, {"command": "x"}):
        plant.bus.publish(topics.PART_COMMANDS, documents.encode(wrong))
        plant.wait(lambda: "not a label of a part" in plant.problems())
    plant.bus.publish(topics.PART_COMMANDS, documents.encode(command))
    plant.wait(lambda: plant.health()["counters"].get("labels") == 1)
    assert "part command" not in plant.problems()
    process.terminate()
    assert process.wait(60) == 0
    assert "labels" in {entry.kind for entry in QueueReader(plant.root, NAME).entries()}
