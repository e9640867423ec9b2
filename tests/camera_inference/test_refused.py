"""A nucleus that refuses messages costs no part its verdict: it is sent again until it is taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_inference.declaration import NAME
from edgeloop import topics
from edgeloop_tools.core.ipc.rpc import Refused

PUBLISH = "aws.greengrass#PublishToTopic"


def test_verdicts_that_were_refused_are_sent_again(plant: Any, tmp_path: Path) -> None:
    handlers = plant._server.operations._handlers
    real, refused = handlers[PUBLISH], []

    def refusing(connection: Any, stream: int, payload: bytes) -> None:
        topic = json.loads(payload).get("topic")
        if topic == topics.results(NAME) and len(refused) < 2:
            refused.append(payload)
            raise Refused("ServiceError", "Failed to publish the message.")
        real(connection, stream, payload)

    handlers[PUBLISH] = refusing
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(1)
    for k in range(6):
        cv2.imwrite(str(images / f"part-{k}.png"), rng.integers(60, 180, (240, 320, 3)).astype(np.uint8))
    plant.configure(cameras={"gate": {"uri": f"folder:{images}", "policy": "every", "deadline": "10 s"}})
    process = plant.start()
    parts = {f"part-{k}" for k in range(6)}
    plant.wait(lambda: len(refused) == 2 and len({r["part"] for r in plant.results()}) == 6)
    found = plant.results()
    assert len({r["part"] for r in found}) == len(parts)
    assert len({(r["part"], r["verdict"], r["decided"]) for r in found}) == 6, "the same verdict, perhaps twice"
    plant.wait(lambda: plant.health().get("counters", {}).get("verdicts_repeated", 0) >= 1)
    book = plant.work / "parts" / "gate.jsonl"
    plant.wait(lambda: book.read_text().count('"announced"') >= 1)
    assert process.poll() is None
