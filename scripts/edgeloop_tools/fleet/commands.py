from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    from edgeloop_tools.fleet import deploying, policy

    _register_publish(subparsers)
    deploying.register(subparsers)
    policy.register(subparsers)
    _register_models(subparsers)


def _register_publish(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "publish",
        help="put component versions into an AWS account",
        description="Puts component versions into an AWS account: artifacts into a bucket, recipes into Greengrass. "
        "A second run completes a first one that failed and repeats nothing.",
    )
    parser.add_argument("components", nargs="*", metavar="COMPONENT", help="package or component name; default: all")
    parser.add_argument("--bucket", default="edgeloop-components", metavar="NAME",
                        help="without region and account, which follow it; default: edgeloop-components")  # fmt: skip
    parser.add_argument("--region", metavar="R", help="default: that of the AWS configuration")
    parser.add_argument("--version", metavar="V",
                        help="X.Y.Z, or NEXT_PATCH: one after the newest where the content changed; "
                        "default: this checkout's")  # fmt: skip
    parser.add_argument("--with", dest="means", choices=("auto", "gdk", "boto3"), default="auto",
                        help="auto: gdk where it is installed")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="where the GDK projects go; default: greengrass-build/projects")  # fmt: skip
    parser.add_argument("--wheelhouse", metavar="LIST", default="",
                        help="wheels that go with Runtime: linux/aarch64,linux/x86_64")  # fmt: skip
    parser.add_argument("--profiles", metavar="LIST", default="core", help="of the wheelhouses; default: core")
    parser.add_argument("--python", metavar="X.Y", default="3.11", help="of the wheelhouses' devices; default: 3.11")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done, and write the projects")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(run=_publish)


def _publish(arguments: argparse.Namespace) -> int:
    import sys

    from edgeloop import __version__
    from edgeloop_tools.cli import ROOT
    from edgeloop_tools.fleet import project
    from edgeloop_tools.fleet.account import Account
    from edgeloop_tools.fleet.bucket import Bucket, bucket_of
    from edgeloop_tools.fleet.publish import Publisher, plan
    from edgeloop_tools.fleet.registry import Registry
    from edgeloop_tools.fleet.units import units
    from edgeloop_tools.fleet.wheels import fetched

    program = project.gdk() if arguments.means != "boto3" else None
    if arguments.means == "gdk" and program is None:
        raise EdgeloopError("gdk is not installed", why="none on PATH", mend="install it, or use --with boto3")
    account = Account(arguments.region)
    bucket = Bucket(account, bucket_of(arguments.bucket, account))
    folder = (arguments.out or ROOT / project.BUILT / "projects").absolute()
    wheelhouses = fetched(arguments.wheelhouse, arguments.profiles, arguments.python, folder)
    registry = Registry(account)

    def say(line: str) -> None:
        print(line, file=sys.stderr if arguments.json else sys.stdout, flush=True)

    publisher = Publisher(account, registry, arguments.bucket, bucket, folder, program, say)
    steps = plan(units(arguments.components, wheelhouses), arguments.version or __version__, registry)
    say(f"account {account.number}, {account.region}, bucket {bucket.name}, with {'gdk' if program else 'boto3'}")
    if arguments.dry_run:
        for step in steps:
            publisher.emit(step)
            does = {"new": "would publish", "failed": "would replace", "pending": "would await"}.get(step.found)
            files = f", {len(step.unit.files)} files, {step.unit.size:,} B" if step.unit.files else ""
            why = f" (changed: {step.why})" if step.why else ""
            say(f"{step.unit.name} {step.version}: " + (f"{does}{files}{why}" if does else "published already"))
    else:
        publisher.publish(steps)
    if arguments.json:
        rows = [{"component": s.unit.name, "version": str(s.version), "found": s.found} for s in steps]
        print(json.dumps({"account": account.number, "bucket": bucket.name, "components": rows}))
    return 0


def _register_models(subparsers: Subparsers) -> None:
    fleet = subparsers.add_parser("fleet", help="what all devices say")
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION")
    models = actions.add_parser(
        "models", help="which model serves where, since when and why: the newest record of each device and model"
    )
    models.add_argument("uploads", metavar="DIR|s3://BUCKET/PREFIX", help="where StreamUpload puts them")
    models.add_argument("--json", action="store_true", help="the records as JSON lines")
    models.set_defaults(run=_models)


def _models(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.fleet.models import newest, table

    found = newest(arguments.uploads)
    if arguments.json:
        for (device, _), document in sorted(found.items()):
            print(json.dumps({"device": device, **document}, ensure_ascii=False))
    else:
        print("\n".join(table(found)))
    return 0
