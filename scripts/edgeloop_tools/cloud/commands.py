"""`cloud`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    cloud = subparsers.add_parser("cloud", help="the cloud side: a template of it, and images that are inferred there")
    verbs = cloud.add_subparsers(dest="cloud_verb", required=True, metavar="COMMAND")
    infer = verbs.add_parser(
        "infer",
        help="video that went up to results, as the edge writes them",
        description="Reads fragments of a stream in Kinesis Video Streams (GetMedia) or clips that went to S3, infers "
        "their frames with a model package or an endpoint, and writes results in the edge's own form, a file for each "
        "fragment. Started again it goes on behind the last one: no frame is inferred twice.",
    )
    where = infer.add_mutually_exclusive_group(required=True)
    where.add_argument("--stream", metavar="NAME", help="of Kinesis Video Streams")
    where.add_argument("--clips", metavar="DIR|s3://…", help="where clips were uploaded to")
    by = infer.add_mutually_exclusive_group(required=True)
    by.add_argument("--model", type=Path, metavar="FILE", help="a model package")
    by.add_argument("--endpoint", metavar="URL|NAME", help="of a model behind HTTP, or SageMaker's")
    infer.add_argument("--out", required=True, metavar="DIR|s3://…", help="where results go")
    infer.add_argument("--camera", default="", metavar="ID", help="in results; default: the stream, or the clip's own")
    infer.add_argument("--site", default="cloud", metavar="NAME")
    infer.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="frames a second inferred; 0: all")
    infer.add_argument("--accept", default="good", metavar="LABELS", help="that pass, separated by blanks")
    infer.add_argument("--follow", action="store_true", help="wait for what is still to come")
    infer.set_defaults(run=_infer)
    template = verbs.add_parser(
        "template",
        help="the cloud side of a line's site as CloudFormation",
        description="Prints bucket, stream, tables, roles, schedule and alarms as CloudFormation (JSON), with the "
        "names of the line: no `*` in place of a resource but where AWS knows none.",
    )
    template.add_argument("--line", type=Path, required=True, metavar="FILE")
    template.add_argument("--overlay", type=Path, action="append", default=[], metavar="FILE", help="over it; repeat")
    own = "edgeloop-components-${AWS::Region}-${AWS::AccountId}"
    template.add_argument("--artifacts", default=own, metavar="BUCKET", help="of `publish`; default: its default")
    template.add_argument("--raw", type=int, default=30, metavar="DAYS", help="until raw/ goes to cheaper storage (30)")
    template.add_argument("--keep", type=int, default=730, metavar="DAYS", help="until raw/ is deleted (730)")
    template.set_defaults(run=_template)


def _infer(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.extras import need

    need("video", "vision")
    from edgeloop_tools.cloud import infer

    source = infer.stream(arguments.stream, arguments.follow) if arguments.stream else infer.clips(arguments.clips)
    judge = infer.package(arguments.model) if arguments.model else infer.endpoint(arguments.endpoint)
    camera = arguments.camera or arguments.stream or ""
    consumer = infer.Consumer(judge, arguments.out, arguments.site, camera, arguments.rate, arguments.accept)
    print(consumer.run(source, say=print))
    return 0


def _template(arguments: argparse.Namespace) -> int:
    import json

    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.cloud.template import template, wanted
    from edgeloop_tools.config import load

    if not 30 <= arguments.raw < arguments.keep:
        why = "S3 moves nothing to cheaper storage before 30 days, and `keep` is longer"
        raise EdgeloopError("wrong use", where="--raw, --keep", why=why, mend="such as --raw 30 --keep 730")
    line = load(arguments.line, arguments.overlay)
    print(json.dumps(template(wanted(line, arguments.artifacts, arguments.raw, arguments.keep)), indent=2))
    return 0
