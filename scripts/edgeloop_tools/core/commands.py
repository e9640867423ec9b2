"""The verbs of the local core, with the words and options of the Greengrass CLI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def register(verbs: Subparsers) -> None:
    """Add `core`, `deployment`, `component` and `logs`."""
    _register_core(verbs)
    _register_deployment(verbs)
    _register_component(verbs)
    logs = verbs.add_parser("logs", help="what components write, of this machine's nucleus or the local core")
    logs.add_argument("component", nargs="?", help="leave out for the core's own log; `bus` is its IPC server's")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it is written")
    logs.add_argument("-n", "--lines", type=int, default=50, metavar="N", help="start N lines before the end (50)")
    _common(logs, "logs")


def _register_core(verbs: Subparsers) -> None:
    core = verbs.add_parser("core", help="the local core: a nucleus for development")
    actions = core.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="start it; it resumes what was deployed last")
    start.add_argument("--nucleus", choices=("classic", "lite"), default="classic")
    start.add_argument("--component-user", metavar="USER", help="who components run as (ggc_user, else nobody)")
    start.add_argument("--thing-name", default="edgeloop-core")
    start.add_argument("--region", default="us-east-1")
    start.add_argument("--token-exchange-port", type=int, default=0, metavar="PORT", help="0: any (default)")
    start.add_argument(
        "--stream-manager-port", type=int, default=0, metavar="PORT", help="0: any (default); a device has 8088"
    )
    start.add_argument(
        "--poll", type=float, default=0.0, metavar="S", help="seconds between looks for deployments (0: at once)"
    )
    start.add_argument(
        "--token-exchange", choices=("ready", "broken", "absent"), default="ready",
        help="broken: as without a role alias; absent: as a classic nucleus that never heard of it",
    )  # fmt: skip
    start.add_argument("--fresh", action="store_true", help="forget what was deployed; work folders stay")
    _common(start, "core_start")
    _common(actions.add_parser("stop", help="stop its components and itself"), "core_stop")
    _common(actions.add_parser("status", help="whether and how it runs"), "core_status")


def _register_deployment(verbs: Subparsers) -> None:
    deployment = verbs.add_parser("deployment", help="local deployments")
    actions = deployment.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="add, update, configure or remove components")
    create.add_argument("-r", "--recipeDir", type=Path, metavar="DIR")
    create.add_argument("-a", "--artifactDir", type=Path, metavar="DIR")
    create.add_argument("-m", "--merge", action="append", default=[], metavar="NAME=VERSION", help="may be repeated")
    create.add_argument("--remove", action="append", default=[], metavar="NAME", help="may be repeated")
    create.add_argument(
        "-c", "--update-config", metavar="JSON|FILE", help='such as {"NAME": {"MERGE": {"rate": 5}, "RESET": ["/old"]}}'
    )
    create.add_argument(
        "--failure-handling-policy", choices=("ROLLBACK", "DO_NOTHING"), default="DO_NOTHING",
        help="of the classic nucleus, where a component breaks: back to what ran, or left as it is (DO_NOTHING)",
    )  # fmt: skip
    create.add_argument("--wait", type=float, metavar="S", help="return when it has ended, within S seconds")
    _common(create, "deployment_create")
    status = actions.add_parser("status", help="how a deployment went")
    status.add_argument("-i", "--deploymentId", required=True, metavar="ID")
    _common(status, "deployment_status")
    _common(actions.add_parser("list", help="the last deployments, newest first"), "deployment_list")


def _register_component(verbs: Subparsers) -> None:
    component = verbs.add_parser("component", help="the components of this machine's nucleus or the local core")
    actions = component.add_subparsers(dest="action", required=True, metavar="ACTION")
    _common(actions.add_parser("list", help="name, version, state of each"), "component_list")
    for action, text in (
        ("details", "everything of one"),
        ("restart", "stop and start it"),
        ("stop", "stop it and what depends HARD on it"),
    ):
        parser = actions.add_parser(action, help=text)
        parser.add_argument("-n", "--names", required=True, metavar="NAME[,NAME]")
        _common(parser, f"component_{action}")


def _common(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--root", type=Path, metavar="DIR", help="of a nucleus, or of a core ($EDGELOOP_CORE_ROOT)")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")

    def run(arguments: argparse.Namespace) -> int | None:
        from edgeloop_tools.core import actions

        action: Any = getattr(actions, name)
        code: int | None = action(arguments)
        return code

    parser.set_defaults(run=run)
