"""What ModelUpdate is to a nucleus."""

from __future__ import annotations

from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency
from model_update.configuration import Configuration
from model_update.wishes import topic

NAME = "io.edgeloop.ModelUpdate"

DECLARATION = Declaration(
    name=NAME,
    description="Desired versions to proven, active models: fetch, check, try, swap in, take back if need be.",
    package="model_update",
    configuration=Configuration,
    publishes=(topics.model("*"), topics.health(NAME), topics.ping(NAME)),
    subscribes=(topics.MODEL_COMMANDS, topics.ping(NAME)),
    cloud_subscribes=(topic("*"),),
    dependencies={
        "io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0"),
        "aws.greengrass.TokenExchangeService": Dependency(">=2.0.0 <3.0.0"),
    },
)
