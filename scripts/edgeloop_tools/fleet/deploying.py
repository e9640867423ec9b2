"""`edgeloop deploy`: a line's components and configuration onto devices."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers
    from edgeloop_tools.fleet.deploy import Merges, Wanted
    from edgeloop_tools.fleet.rollout import Rollout


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "deploy",
        help="put a line's components and configuration onto devices",
        description="Deploys what line.yaml configures, to a thing group or to this machine. What a deployment has "
        "besides our components stays in it. A second run completes a first one.",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--thing-group", metavar="NAME", help="the devices of a thing group, through AWS")
    where.add_argument("--local", action="store_true", help="this machine's nucleus, else the local core")
    parser.add_argument("--line", type=Path, metavar="FILE",
                        help="default: line.yaml; with --local: recipes as they stand")  # fmt: skip
    parser.add_argument("--overlay", type=Path, action="append", default=[], metavar="FILE",
                        help="over the line, for all devices; repeat")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    parser.add_argument("--wait", action="store_true", help="until every device is through, with progress")
    parser.add_argument("--json", action="store_true", help="print the plan and the outcome as JSON")
    here = parser.add_argument_group("with --local")
    here.add_argument("--root", type=Path, metavar="DIR", help="of nucleus or core; default: the usual one")
    here.add_argument("--timeout", type=float, metavar="S", help="for the deployment; default: 900")
    here.add_argument("--watch", type=float, metavar="S", help="look after the components that long; default: 30")
    here.add_argument("--remove", action="store_true", help="take back what --local put here; work folders stay")
    fleet = parser.add_argument_group("with --thing-group")
    fleet.add_argument("--region", metavar="R", help="default: that of the AWS configuration")
    fleet.add_argument("--version", metavar="X.Y.Z", help="of all our components; default: each one's newest")
    fleet.add_argument("--stream-manager", metavar="X.Y.Z", default="",
                       help="its version, or none; default: the newest where something is uploaded")  # fmt: skip
    fleet.add_argument("--device", action="append", default=[], metavar="THING=FILE",
                       help="a device's overlay; repeat; default: overlays/THING.yaml beside the line")  # fmt: skip
    fleet.add_argument("--leave", action="append", default=[], metavar="THING", help="leave its own layer as it is")
    fleet.add_argument("--preview", nargs="+", default=[], metavar="THING",
                       help="print the effective configuration of these devices, deploy nothing")  # fmt: skip
    fleet.add_argument("--again", action="store_true", help="deploy even when nothing changes: for devices that failed")
    fleet.add_argument("--yes", action="store_true", help="do not ask")
    fleet.add_argument("--patience", default="30 min", metavar="TIME", help="the longest wait; default: 30 min")
    fleet.add_argument("--name", default="", metavar="TEXT", help="of the deployment; default: site and line")
    fleet.add_argument("--rate", metavar="N|N..M", help="devices a minute: constant, or growing from N to M")
    fleet.add_argument("--rate-factor", type=float, default=2.0, metavar="F", help="by which it grows; default: 2")
    fleet.add_argument("--rate-after", type=int, default=10, metavar="N", help="successes between; default: 10")
    fleet.add_argument("--abort", action="append", default=[], metavar="CRITERION",
                       help='cancel the rest, such as "FAILED 10%% of 5"; repeat')  # fmt: skip
    fleet.add_argument("--failure", choices=("ROLLBACK", "DO_NOTHING"), help="of a device; default: ROLLBACK")
    fleet.add_argument("--notify", action=argparse.BooleanOptionalAction, default=None,
                       help="ask components before an update; default: yes")  # fmt: skip
    fleet.add_argument("--update-timeout", metavar="TIME", help="for components to be ready; default: 60 s")
    fleet.add_argument("--validation-timeout", metavar="TIME", help="to object to a configuration; default: 30 s")
    fleet.add_argument("--device-timeout", metavar="TIME", help="for a device to be through; default: a week")
    parser.set_defaults(run=_deploy)


def _deploy(arguments: argparse.Namespace) -> int:
    if arguments.local:
        from edgeloop_tools.fleet import local

        code: int = local.deploy(arguments)
        return code
    return _group(arguments)


def _group(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.fleet.account import Account
    from edgeloop_tools.fleet.deploy import Deployer, Planner, described
    from edgeloop_tools.fleet.progress import Progress
    from edgeloop_tools.fleet.registry import Registry
    from edgeloop_tools.fleet.rollout import seconds
    from edgeloop_tools.fleet.target import Targets

    def say(line: str) -> None:
        print(line, file=sys.stderr if arguments.json else sys.stdout, flush=True)

    patience = seconds("--patience", arguments.patience) or 0
    wanted = _wanted(arguments)
    account = Account(arguments.region)
    targets, ours = Targets(account), _ours()
    planner = Planner(account, Registry(account), targets, ours)
    plan = planner.plan(arguments.thing_group, wanted, frozenset(arguments.leave))
    if arguments.preview:
        return _preview(arguments, planner, wanted, plan.members)
    for thing in sorted(set(wanted.devices) - set(plan.members)):
        say(f"note: {thing} has an overlay and is not in {arguments.thing_group}")
    for line in described(plan):
        say(line)
    good, needed = True, plan.changed or bool(plan.pending())
    if needed and not arguments.dry_run:
        _confirmed(arguments, len(plan.members))
        progress = Progress(account, say, patience)
        good = Deployer(account, targets, progress, ours, say).deploy(plan, wait=arguments.wait)
    if arguments.json:
        devices = {thing: plan.devices[thing][1] for thing in plan.pending()}
        print(json.dumps({"target": plan.arn, "changed": plan.changed, "deployment": plan.new, "devices": devices,
                          "succeeded": good}, ensure_ascii=False))  # fmt: skip
    return 0 if good else 1


def _wanted(arguments: argparse.Namespace) -> Wanted:
    from edgeloop_tools.config import load, overlays
    from edgeloop_tools.fleet.deploy import Wanted
    from edgeloop_tools.model.publish import resolved

    file = arguments.line or Path("line.yaml")
    line = load(file, arguments.overlay)
    files = overlays(file)
    for text in arguments.device:
        thing, equals, path = text.partition("=")
        if not (thing and equals and path):
            raise EdgeloopError("a wrong value", where="--device", why=repr(text), mend="write THING=FILE")
        files[thing] = Path(path)
    group = resolved(line.configured())
    devices: dict[str, Merges] = {}
    for thing, overlay in files.items():
        whole = load(file, [*arguments.overlay, overlay])
        own = resolved(whole.components())
        devices[thing] = {name: own.get(name, {}) for name in {**group, **whole.configured()}}
    manager = None if arguments.stream_manager == "none" else arguments.stream_manager
    name = arguments.name or f"{line.site} {line.id}"
    return Wanted(group, devices, name, _rollout(arguments), arguments.version, manager, arguments.again)


def _rollout(arguments: argparse.Namespace) -> Rollout:
    from edgeloop_tools.fleet.rollout import Abort, Rate, Rollout, seconds

    if not 1 <= arguments.rate_factor <= 5 or arguments.rate_after < 1:
        raise EdgeloopError("a wrong value", where="--rate-factor, --rate-after", mend="1 to 5; at least 1")
    return Rollout(
        rate=Rate.parse(arguments.rate) if arguments.rate else None,
        factor=arguments.rate_factor,
        after=arguments.rate_after,
        aborts=tuple(map(Abort.parse, arguments.abort)),
        failure=arguments.failure,
        notify=arguments.notify,
        update_timeout=seconds("--update-timeout", arguments.update_timeout),
        validation_timeout=seconds("--validation-timeout", arguments.validation_timeout),
        device_timeout=seconds("--device-timeout", arguments.device_timeout),
    )


def _ours() -> frozenset[str]:
    from edgeloop_tools.build.components import UMBRELLA, declarations

    return frozenset({UMBRELLA, *(declaration.name for declaration in declarations())})


def _preview(arguments: argparse.Namespace, planner: Any, wanted: Wanted, members: list[str]) -> int:
    if strange := sorted(set(arguments.preview) - set(members)):
        raise EdgeloopError(f"no devices of {arguments.thing_group}", why=", ".join(strange))
    told: dict[str, dict[str, dict[str, Any]]] = {}
    for thing in arguments.preview:
        if not arguments.json:
            print(f"{thing}, as if new:")
        last = ""
        for name, where, layer, value in planner.preview(wanted, thing):
            told.setdefault(thing, {}).setdefault(name, {})[where] = {"value": value, "layer": layer}
            if arguments.json:
                continue
            if name != last:
                print(f"  {name}")
                last = name
            print(f"    {layer:6} {where}: {json.dumps(value, ensure_ascii=False)}")
    if arguments.json:
        print(json.dumps(told, ensure_ascii=False))
    return 0


def _confirmed(arguments: argparse.Namespace, devices: int) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise EdgeloopError("nobody is here to confirm", mend="give --yes, or look first with --dry-run")
    said = input(f"deploy to {devices} devices? [y/N] ")
    if said.strip().lower() not in ("y", "yes"):
        raise EdgeloopError("not deployed", why="not confirmed")
