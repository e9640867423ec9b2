"""What StreamUpload is to a nucleus."""

from __future__ import annotations

from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency
from stream_upload.configuration import Configuration

NAME = "io.edgeloop.StreamUpload"

DECLARATION = Declaration(
    name=NAME,
    description="Samples as Parquet, results, alarms and files to the cloud, through Stream Manager.",
    package="stream_upload",
    configuration=Configuration,
    publishes=(topics.health(NAME), topics.ping(NAME)),
    subscribes=(topics.ping(NAME),),
    dependencies={
        "aws.greengrass.TokenExchangeService": Dependency(">=2.0.0 <3.0.0"),
        "io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0"),
    },
)
