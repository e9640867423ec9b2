"""Second opinions with both processes: one verdict for each part, in time, whatever the endpoint does."""

from __future__ import annotations

import io
import socket
from typing import Any

import numpy as np
from PIL import Image

from camera_inference.declaration import DECLARATION as CAMERA
from edgeloop.queue import QueueReader
from video_upload.declaration import DECLARATION as VIDEO

BELT = {"uri": "simulator:?seed=7&rate=10&defective=0.4", "policy": "every", "deadline": "20 s"}
ASKING = {"when": "confidence < 2", "random": "0%", "deadline": "10 s", "crop": False}


def judged(plant: Any) -> list[Any]:
    return [result for result in plant.results() if result["part"]]


def test_what_the_edge_is_unsure_of_is_decided_elsewhere_and_kept_where_both_differ(plant: Any, model: Any) -> None:
    model.say = lambda id: {"label": "good" if plant.truth().get(id) != "good" else "scratch", "confidence": 0.97}
    plant.camera(**BELT, opinion={"endpoint": f"{model.url}/judge", **ASKING})
    plant.start()
    plant.wait(lambda: sum(r.get("decided_by") == "cloud" for r in judged(plant)) >= 8)
    result = next(r for r in judged(plant) if r.get("decided_by") == "cloud")
    assert result["verdict"] == result["cloud"]["verdict"] == ("pass" if result["label"] == "good" else "fail")
    assert result["confidence"] == 0.97
    assert result["edge"]["model"] == "visual_inspection"
    assert result["model"]["name"] == f"{model.url}/judge"
    path, headers, body = model.requests[0]
    assert (path, headers["content-type"]) == ("/judge", "image/jpeg")
    assert np.asarray(Image.open(io.BytesIO(body))).shape == (240, 320, 3)
    assert model.connections <= 4 < len(model.requests)
    parts = [r["part"] for r in judged(plant)]
    assert len(parts) == len(set(parts))
    reader = QueueReader(plant.root, CAMERA.name)

    def differing() -> list[Any]:
        found = [reader.describe(e)[1].document for e in reader.entries() if e.kind == "hard_examples"]
        return [d for d in found if d.get("cloud") and d["cloud"]["verdict"] != d["edge"]["verdict"]]

    plant.wait(differing)


def test_an_endpoint_that_is_gone_costs_no_part_its_verdict(plant: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        plant.camera(**BELT, opinion={"endpoint": f"http://127.0.0.1:{taken.getsockname()[1]}/", **ASKING})
        plant.start()
        plant.wait(lambda: len(judged(plant)) >= 15)
        plant.wait(lambda: plant.counters(CAMERA).get("opinions_not_asked.gate", 0) > 0)
    assert {r.get("decided_by", "edge") for r in judged(plant)} == {"edge"}
    unknown = {r["reason"] for r in judged(plant) if r["verdict"] == "unknown"}
    assert not [reason for reason in unknown if "opinion" in reason or "endpoint" in reason]
    plant.wait(lambda: "does not answer" in str(plant.health(VIDEO).get("problems")))


def test_what_is_late_broken_or_dear_leaves_the_edges_verdict(plant: Any, model: Any) -> None:
    answers = iter([503, {"nonsense": 1}, {"label": "good", "confidence": 7}, [0.5, 0.5]])
    model.say = lambda id: next(answers, {"label": "good", "confidence": 0.9})
    model.pause = lambda: 3.0 if len(model.requests) == 5 else 0.0
    opinion = {"endpoint": model.url, **ASKING, "deadline": "1 s", "connections": 1, "most": {"pictures": "9/d"}}
    plant.camera(**BELT, opinion=opinion)
    plant.start()
    wanted = ("error", "unreadable", "budget")
    plant.wait(lambda: all(plant.counters(VIDEO).get(f"opinions_{word}.gate") for word in wanted))
    plant.wait(lambda: plant.counters(CAMERA).get("opinions_late.gate"))
    plant.wait(lambda: plant.counters(CAMERA).get("opinions_budget.gate"))
    assert len(model.requests) == 9
    parts = [r["part"] for r in judged(plant)]
    assert len(parts) == len(set(parts))
    assert all(r["verdict"] != "unknown" for r in judged(plant))
    plant.wait(lambda: "pictures are used up" in str(plant.health(VIDEO).get("problems")))


def test_afterwards_corrects_labels_only(plant: Any, model: Any) -> None:
    model.say = lambda id: {"label": "scratch", "confidence": 0.9}
    plant.camera(uri="simulator:?seed=7&rate=10&defective=0.1", opinion={"endpoint": model.url, **ASKING})
    plant.start()
    reader = QueueReader(plant.root, CAMERA.name)
    plant.wait(lambda: "opinions" in {entry.kind for entry in reader.entries()})
    assert all("decided_by" not in result for result in plant.results())
