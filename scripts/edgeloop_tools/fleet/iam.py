"""IAM policies for who publishes, who deploys, and for the devices' token exchange role: the least, with names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeloop.errors import EdgeloopError

WHO = ("publisher", "deployer", "device")
NAMES = "io.edgeloop.*"
Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """What the policies name. artifacts: the bucket of the components, whole. uploads: bucket and prefix of what
    StreamUpload sends. things: devices that get deployments of their own. videos: streams of Kinesis Video Streams;
    endpoints: SageMaker's, of second opinions."""

    partition: str
    region: str
    account: str
    artifacts: str
    groups: tuple[str, ...] = ()
    uploads: str = ""
    prefix: str = ""
    streams: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def s3(self, resource: str) -> str:
        return f"arn:{self.partition}:s3:::{resource}"


def policy(who: str, names: Names) -> dict[str, Any]:
    """The document for one of WHO."""
    made = {"publisher": _publisher, "deployer": _deployer, "device": _device}[who](names)
    return {"Version": "2012-10-17", "Statement": made}


def _publisher(names: Names) -> list[Statement]:
    components = names.arn("greengrass", f"components:{NAMES}")
    return [
        _allow("Components", ["CreateComponentVersion", "ListComponentVersions"], [components], "greengrass"),
        _allow(
            "ComponentVersions",
            ["DescribeComponent", "GetComponent", "DeleteComponent"],
            [f"{components}:versions:*"],
            "greengrass",
        ),
        _allow("Bucket", ["CreateBucket", "GetBucketLocation", "ListBucket"], [names.s3(names.artifacts)], "s3"),
        _allow(
            "Artifacts",
            ["PutObject", "GetObject", "AbortMultipartUpload"],
            [names.s3(f"{names.artifacts}/{NAMES}")],
            "s3",
        ),
    ]


def _deployer(names: Names) -> list[Statement]:
    """Not by name: deployments and the jobs of them, whose ids AWS makes; core devices, which come and go with a group.

    Greengrass takes a group's deployment to its devices by a job, and a single device's by its shadow.
    """
    if not names.groups:
        raise EdgeloopError("which thing groups does the deployer serve?", mend="give --thing-group NAME, repeat")
    components = names.arn("greengrass", f"components:{NAMES}")
    public = f"arn:{names.partition}:greengrass:{names.region}:aws:components:aws.greengrass.*"
    groups = [names.arn("iot", f"thinggroup/{group}") for group in names.groups]
    things = [names.arn("iot", f"thing/{thing}") for thing in names.things]
    made = [
        _allow("ComponentVersions", ["ListComponentVersions"], [components, public], "greengrass"),
        _allow(
            "Components",
            ["DescribeComponent", "GetComponent"],
            [f"{components}:versions:*", f"{public}:versions:*"],
            "greengrass",
        ),
        _allow(
            "Deployments",
            ["CreateDeployment", "GetDeployment", "ListDeployments", "ListCoreDevices"],
            ["*"],
            "greengrass",
        ),
        _allow("Devices", ["ListEffectiveDeployments"], [names.arn("greengrass", "coreDevices:*")], "greengrass"),
        _allow("Groups", ["ListThingsInThingGroup", "DescribeThingGroup"], groups, "iot"),
        _allow(
            "Jobs",
            ["CreateJob", "UpdateJob", "DescribeJob", "CancelJob"],
            [names.arn("iot", "job/*"), *groups, *things],
            "iot",
        ),
    ]
    if things:
        shadows = ["DescribeThing", "GetThingShadow", "UpdateThingShadow", "DeleteThingShadow"]
        made.append(_allow("Things", shadows, things, "iot"))
    return made


def _device(names: Names) -> list[Statement]:
    """Of the token exchange role: artifacts, uploads, streams and models, each by name."""
    artifacts = names.s3(f"{names.artifacts}/{NAMES}")
    made = [_allow("Artifacts", ["GetObject"], [artifacts], "s3")]
    if names.uploads:
        target = names.s3(f"{names.uploads}/{names.prefix.strip('/') + '/' if names.prefix.strip('/') else ''}*")
        made.append(
            _allow("Uploads", ["PutObject", "AbortMultipartUpload", "ListMultipartUploadParts"], [target], "s3")
        )
        made.append(_allow("UploadBucket", ["GetBucketLocation"], [names.s3(names.uploads)], "s3"))
    if names.streams:
        streams = [names.arn("kinesis", f"stream/{stream}") for stream in names.streams]
        made.append(_allow("Streams", ["PutRecords", "DescribeStream"], streams, "kinesis"))
    if names.videos:
        videos = [names.arn("kinesisvideo", f"stream/{stream}/*") for stream in names.videos]
        made.append(_allow("Video", ["GetDataEndpoint", "PutMedia"], videos, "kinesisvideo"))
    if names.endpoints:
        endpoints = [names.arn("sagemaker", f"endpoint/{endpoint.lower()}") for endpoint in names.endpoints]
        made.append(_allow("Opinions", ["InvokeEndpoint"], endpoints, "sagemaker"))
    if names.models:
        models = [names.s3(f"{uri.removeprefix('s3://').rstrip('/*')}*") for uri in names.models]
        made.append(_allow("Models", ["GetObject"], models, "s3"))
    return made


def _allow(name: str, actions: Sequence[str], resources: Sequence[str], service: str) -> Statement:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": list(resources),
    }
