"""`edgeloop policy`: the IAM policies, names filled in."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers
    from edgeloop_tools.fleet.iam import Names


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "policy",
        help="print the IAM policy of publisher, deployer or device",
        description="Prints the least IAM policy as JSON, with the names of this account and line.",
    )
    parser.add_argument("who", choices=("publisher", "deployer", "device"))
    parser.add_argument("--bucket", default="edgeloop-components", metavar="NAME", help="as for publish")
    parser.add_argument("--region", metavar="R", help="default: that of the AWS configuration")
    parser.add_argument("--account", metavar="N", help="twelve digits; default: that of the credentials")
    parser.add_argument("--thing-group", action="append", default=[], metavar="NAME", help="deployer: to these; repeat")
    parser.add_argument(
        "--thing", action="append", default=[], metavar="NAME", help="deployer: devices with an overlay; repeat"
    )
    parser.add_argument("--line", type=Path, metavar="FILE", help="device: bucket, streams and models of this line")
    parser.add_argument(
        "--overlay", type=Path, action="append", default=[], metavar="FILE", help="over the line; repeat"
    )
    parser.set_defaults(run=_policy)


def _policy(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.fleet.iam import policy

    print(json.dumps(policy(arguments.who, _names(arguments)), indent=2))
    return 0


def _names(arguments: argparse.Namespace) -> Names:
    from edgeloop_tools.fleet.account import Account
    from edgeloop_tools.fleet.iam import Names

    account = Account(arguments.region)
    number = arguments.account or account.number
    artifacts = f"{arguments.bucket}-{account.region}-{number}"
    upload: dict[str, str] = {}
    videos: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    if arguments.line:
        from edgeloop_tools.config import load

        components = load(arguments.line, arguments.overlay).components()
        upload = components.get("io.edgeloop.StreamUpload", {})
        wanted = components.get("io.edgeloop.ModelUpdate", {}).get("models", {})
        uris = (str(model.get("uri", "")) for model in wanted.values())
        cameras = components.get("io.edgeloop.VideoUpload", {}).get("cameras", {})
        videos = tuple(
            str(camera["video"].get("stream") or f"*-{id}")
            for id, camera in sorted(cameras.items()) if "kvs" in str(camera.get("video", {}).get("to", ""))
        )  # fmt: skip
        asked = {str(camera["opinion"]["endpoint"]) for camera in cameras.values() if "opinion" in camera}
        endpoints = tuple(sorted(name for name in asked if "://" not in name))
        models = tuple(sorted(uri for uri in uris if uri.startswith("s3://")))
    streams = tuple(filter(None, [upload.get("kinesis", "")]))
    return Names(
        account.partition, account.region, number, artifacts, tuple(arguments.thing_group),
        upload.get("bucket", ""), upload.get("prefix", ""), streams, models, tuple(arguments.thing),
        videos, endpoints,
    )  # fmt: skip
