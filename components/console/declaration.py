"""What Console is to a nucleus."""

from __future__ import annotations

from console.configuration import Configuration
from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency

NAME = "io.edgeloop.Console"

DECLARATION = Declaration(
    name=NAME,
    description="The page for the people at the line: alarms, signals, parts, models; it decides nothing.",
    package="console",
    optional=True,
    configuration=Configuration,
    publishes=(
        topics.ALARM_COMMANDS, topics.PART_COMMANDS, topics.MODEL_COMMANDS, topics.CAMERA_COMMANDS,
        topics.health(NAME), topics.ping(NAME),
    ),
    subscribes=(
        topics.SAMPLES, topics.results("*"), topics.alarm("*"), topics.health("*"), topics.ping(NAME),
    ),
    dependencies={"io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0")},
)  # fmt: skip
