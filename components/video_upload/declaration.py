"""What VideoUpload is to a nucleus."""

from __future__ import annotations

from edgeloop import topics
from edgeloop.config.declaration import Declaration, Dependency
from video_upload.configuration import Configuration

NAME = "io.edgeloop.VideoUpload"

DECLARATION = Declaration(
    name=NAME,
    description="Video of cameras to Kinesis Video Streams and S3, and second opinions of models in the cloud.",
    package="video_upload",
    optional=True,
    configuration=Configuration,
    publishes=("edgeloop/opinions/*", topics.health(NAME), topics.ping(NAME)),
    subscribes=(
        topics.ask("*"), topics.results("io.edgeloop.CameraInference"), topics.alarm("*"), topics.ping(NAME),
    ),
    dependencies={
        "aws.greengrass.TokenExchangeService": Dependency(">=2.0.0 <3.0.0"),
        "io.edgeloop.Runtime": Dependency(">=0.1.0 <0.2.0"),
    },
)  # fmt: skip
