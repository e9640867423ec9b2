"""What SensorIngest is to a nucleus."""

from __future__ import annotations

from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency
from sensor_ingest.configuration import Configuration

NAME = "io.edgeloop.SensorIngest"

DECLARATION = Declaration(
    name=NAME,
    description="Sensors to samples: sources in, one journal and one notice per tick out; actions back to the sources.",
    package="sensor_ingest",
    configuration=Configuration,
    publishes=(
        topics.SAMPLES, topics.TRUTH, topics.ACTION_RESULTS, topics.MIRRORS, topics.health(NAME), topics.ping(NAME),
    ),
    subscribes=("edgeloop/actions/*", "edgeloop/alarms/*", topics.INPUTS, topics.ping(NAME)),
    cloud_subscribes=(topics.INPUTS,),
    policy=2,
    senses=True,
    dependencies={"io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0")},
)
