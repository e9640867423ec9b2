"""What AnomalyInference is to a nucleus."""

from __future__ import annotations

from anomaly_inference.configuration import Configuration
from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency

NAME = "io.edgeloop.AnomalyInference"

DECLARATION = Declaration(
    name=NAME,
    description="Samples to scores, alarms and actions: streaming detectors that need no training.",
    package="anomaly_inference",
    configuration=Configuration,
    publishes=(topics.results(NAME), "edgeloop/alarms/*", topics.health(NAME), topics.ping(NAME)),
    subscribes=(topics.SAMPLES, topics.ALARM_COMMANDS, topics.ACTION_RESULTS, topics.model("*"), topics.ping(NAME)),
    models=("vibration",),
    policy=3,
    dependencies={"io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0")},
)
