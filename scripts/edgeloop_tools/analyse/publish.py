"""Findings to the lines: one retained message an asset at IoT Core, again only where it has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edgeloop import optional
from edgeloop.decode import document
from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError
from edgeloop.fleet.messages import topic

AWS: Final = "aws"
SENT: Final = ".published.json"

Way = Callable[[str, bytes], None]
"""Publishes (topic, payload), retained, and returns once it is taken; raises EdgeloopError."""


def publish(folder: Path, send: Way) -> int:
    """folder: `findings/` of an output. How many lists went. Each is written down once it is taken: where this ends
    halfway the next run goes on, and a list that goes twice changes nothing on a device. Raises EdgeloopError."""
    known: Document[dict[str, int]] = Document(folder / SENT, dict[str, int], dict)
    revisions = known.load()
    count = 0
    try:
        for path in sorted(folder.glob("*/*.json")):
            payload = path.read_bytes()
            message = document(payload, dict[str, Any], what="findings", where=str(path))
            where = topic(str(message["site"]), str(message["asset"]))
            if revisions.get(where) == message["revision"]:
                continue
            send(where, payload)
            revisions[where] = int(message["revision"])
            known.save(revisions)
            count += 1
    except KeyError as error:
        raise EdgeloopError("not a list of findings", where=str(path), why=f"no {error}") from None
    except OSError as error:
        where = str(error.filename or folder)
        raise EdgeloopError("cannot publish", where=where, why=error.strerror or "") from error
    return count


def way(where: str) -> Way:
    """aws, or the root folder of a local core."""
    return _aws() if where == AWS else _core(Path(where))


def _core(root: Path) -> Way:
    from edgeloop_tools.core.client import CoreClient

    client = CoreClient(root)

    def send(topic: str, payload: bytes) -> None:
        client.fault("iot_publish", topic=topic, payload=payload.decode(), retain=True)

    return send


def _aws() -> Way:
    """By the account's own endpoint, unless AWS_ENDPOINT_URL_IOT_DATA_PLANE names another."""
    boto3 = optional.load("boto3", "analyse --publish")
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        client = boto3.client("iot-data")
        if client.meta.endpoint_url.endswith(".amazonaws.com"):
            address = boto3.client("iot").describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
            client = boto3.client("iot-data", endpoint_url=f"https://{address}")
    except (BotoCoreError, ClientError) as error:
        mend = "run `aws sso login` or `aws configure`, and name the region (AWS_REGION)"
        raise EdgeloopError("IoT Core does not answer", why=str(error), mend=mend) from None

    def send(topic: str, payload: bytes) -> None:
        try:
            client.publish(topic=topic, qos=1, retain=True, payload=payload)
        except (BotoCoreError, ClientError) as error:
            mend = f"allow iot:Publish and iot:RetainPublish on topic/{topic}"
            raise EdgeloopError("IoT Core refuses a list of findings", where=topic, why=str(error), mend=mend) from None

    return send
