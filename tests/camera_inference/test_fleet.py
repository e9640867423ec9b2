"""A line of cameras alone has the book that findings go to."""

from __future__ import annotations

import json
from typing import Any

from camera_inference.declaration import NAME
from edgeloop import documents, topics
from edgeloop.fleet import topic
from edgeloop.queue import QueueReader


def test_a_finding_is_an_alarm_of_a_line_of_cameras(plant: Any) -> None:
    camera = {"uri": "/nowhere", "policy": "every", "asset": "p1"}
    plant.configure(site="plant", fleet={"findings": "true"}, cameras={"gate": camera})
    finding = {"id": "f1", "words": "rejects as many as three of its sisters", "analysis": "quality"}
    message = {"revision": 3, "findings": [finding]}
    plant.publish_from_cloud(topic("plant", "p1"), json.dumps(message).encode())
    process = plant.start()

    def alarms() -> list[Any]:
        found = [a for name in list(plant.messages) if name.startswith("edgeloop/alarms/")
                 for a in plant.documents(name)]  # fmt: skip
        return [a for a in found if a["kind"] == "fleet"]

    plant.wait(alarms, 120)
    raised = alarms()[0]
    assert (raised["state"], raised["asset"], raised["monitor"]) == ("raised", "p1", "fleet_f1")
    plant.bus.publish(
        topics.ALARM_COMMANDS, documents.encode({"command": "acknowledge", "id": raised["id"], "reason": "false"})
    )
    plant.wait(lambda: alarms()[-1]["state"] == "acknowledged", 120)
    plant.publish_from_cloud(topic("plant", "p1"), b'{"revision": 4, "findings": []}')
    plant.wait(lambda: alarms()[-1]["state"] == "cleared", 120)
    process.terminate()
    assert process.wait(60) == 0
    assert "labels" in {entry.kind for entry in QueueReader(plant.root, NAME).entries()}
