"""What CameraInference is to a nucleus."""

from __future__ import annotations

from camera_inference.configuration import DEFAULT_MODEL, Configuration
from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency

NAME = "io.edgeloop.CameraInference"

DECLARATION = Declaration(
    name=NAME,
    description="Frames to verdicts: one for each part, reject actions, and the images that the model was unsure of.",
    package="camera_inference",
    configuration=Configuration,
    publishes=(
        topics.results(NAME),
        "edgeloop/alarms/*",
        topics.ask("*"),
        topics.TRUTH,
        topics.INPUTS,
        topics.MODEL_COMMANDS,
        topics.health(NAME),
        topics.ping(NAME),
    ),
    subscribes=(
        topics.SAMPLES, topics.model("*"), topics.ALARM_COMMANDS, topics.CAMERA_COMMANDS, topics.PART_COMMANDS,
        "edgeloop/opinions/*", topics.ping(NAME),
    ),
    dependencies={"io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0")},
    models=(DEFAULT_MODEL,),
    policy=2,
    vendored=("backbone",),
)
