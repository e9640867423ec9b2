"""`loop`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    loop = subparsers.add_parser("loop", help="pictures, labels, training, gate, signature, deployment: unattended")
    actions = loop.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser(
        "run",
        help="goes through the loop of a LOOP.yaml",
        description="Each step is done once and may be interrupted. Exit code 0: a better model is in use; 3: the gain "
        "gate refused; 4: it waits for labels or a person.",
    )
    run.add_argument("plan", type=Path, metavar="LOOP.yaml")
    run.add_argument("--every", default="", metavar="SPAN", help="again and again, such as 1d; otherwise once")
    run.add_argument("--once", action="store_true", help="once, which is also what happens without --every")
    run.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from edgeloop.config.quantities import Duration
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.extras import need

    need("vision")
    from edgeloop_tools.loop.plan import read
    from edgeloop_tools.loop.run import run

    try:
        every = Duration(arguments.every).seconds if arguments.every else 0.0
    except ValueError as error:
        raise EdgeloopError("no span of time", where="--every", why=str(error), mend="such as 1d") from None
    return run(read(arguments.plan), every, arguments.once or not every)
