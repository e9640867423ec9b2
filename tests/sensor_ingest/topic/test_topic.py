"""A real SensorIngest on a real bus; the test is the other component."""

from __future__ import annotations

from typing import Any

import pytest

from edgeloop.config.load import convert
from edgeloop.errors import ConfigurationError
from sensor_ingest.sources.topic import SOURCE


def test_what_another_component_publishes_is_journalled(plant: Any) -> None:
    topics = {"w": {"filter": "edgeloop/in/+/state", "stream": "{1}", "channels": {"mass": "kg kg"}, "time": "at"}}
    plant.configure(sources={"scale": {"type": "topic", "topics": topics}})
    plant.start()

    def say() -> bool:
        plant.bus.publish("edgeloop/in/s1/state", b"no json")
        plant.bus.publish_document("edgeloop/in/s1/state", {"kg": 21.5, "at": 1_700_000_000_123_456_789})
        return any(i.stream == "scale_s1" for i in plant.journal())

    plant.wait(say)
    batch = next(i for i in plant.journal() if i.stream == "scale_s1")
    assert (batch.samples[0, 0], batch.channels[0].unit) == (21.5, "kg")
    assert batch.time == 1_700_000_000_123_456_789
    plant.wait(lambda: "scale_s1: a payload is dropped: it is no JSON" in plant.problems())
    assert "Unauthorized" not in plant.log()


def test_what_the_cloud_publishes_is_journalled(plant: Any) -> None:
    topics = {"w": {"filter": "edgeloop/in/price", "channels": {"price": "eur EUR"}}}
    plant.configure(sources={"spot": {"type": "topic", "bus": "iot_core", "topics": topics}})
    plant.start()

    def say() -> bool:
        plant.bus.publish_to_iot_core("edgeloop/in/price", b'{"eur": 81.5}')
        return any(i.stream == "spot" for i in plant.journal())

    plant.wait(say)
    assert next(i for i in plant.journal() if i.stream == "spot").samples[0, 0] == 81.5
    assert "Unauthorized" not in plant.log()


@pytest.mark.parametrize("filter", ["edgeloop/samples", "edgeloop/#", "#", "+/in/a", "a/b+"])
def test_what_edgeloop_says_itself_is_no_source(filter: str) -> None:
    with pytest.raises(ConfigurationError):
        convert({"type": "topic", "topics": {"a": {"filter": filter, "stream": "x"}}}, SOURCE.options)
