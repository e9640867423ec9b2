"""`analyse`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    analyse = subparsers.add_parser(
        "analyse",
        help="questions over many sites and long periods",
        usage="edgeloop analyse NAME --data DIR|s3://… [options]\n       edgeloop analyse new FOLDER\n"
        "       edgeloop analyse build [FOLDER ...] --out DIR",
        description="Runs an analysis, a shipped one or a folder of your own, over what went up. "
        "Makes OUT/<name>/table.parquet, OUT/findings/<site>/<asset>.json and, with --report, one page; --publish "
        "tells the lines. "
        "`new` makes the folder of an analysis of your own, `build` what an image of all is made from.",
    )
    add = analyse.add_argument
    add("words", nargs="+", metavar="NAME", help="one of the shipped, or a folder; or: new, build")
    add("--data", metavar="DIR|s3://…", help="where it was uploaded to, or a folder with lake/")
    add("--since", metavar="TIME", help="leave out what is older, such as 2026-03-01")
    add("--out", type=Path, metavar="DIR", default=Path("analysis"), help="where results go, and lake/ (analysis)")
    add("--report", type=Path, metavar="FILE.html", help="one page that needs nothing else")
    add("--valid", type=int, metavar="DAYS", default=14, help="how long findings hold after the last day seen (14)")
    add(
        "--publish", nargs="?", const="aws", metavar="aws|ROOT",
        help="to the lines: as retained messages of IoT Core; ROOT: of the local core there",
    )  # fmt: skip
    add("--engine", choices=("duckdb", "spark"), default="duckdb", help="Spark: where PySpark and Java are (duckdb)")
    add("--every", metavar="1h", help="again and again, until it is stopped")
    add("-p", dest="parameters", action="append", default=[], metavar="KEY=VALUE", help="a parameter of the analysis")
    analyse.set_defaults(run=_analyse)


def _analyse(arguments: argparse.Namespace) -> int:
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.analyse.definition import make, place
    from edgeloop_tools.extras import need

    words: list[str] = arguments.words
    if words[0] == "new":
        if len(words) != 2:
            raise EdgeloopError("no name", where="analyse new", mend="give one folder: analyse new oven_drift")
        folder = make(Path(words[1]))
        print(f"made {folder}: change analysis.py, then: edgeloop test {folder}")
        return 0
    if words[0] == "build":
        from edgeloop_tools.analyse.image import build

        made = build(arguments.out, [Path(word) for word in words[1:]])
        print(f"made {made}: docker build -t edgeloop:VERSION {made}")
        return 0
    if len(words) != 1 or not arguments.data:
        raise EdgeloopError("wrong use", where="analyse", mend="edgeloop analyse NAME --data DIR|s3://…")
    place(words[0])
    need("analytics")
    if arguments.every:
        return _again(arguments)
    _once(arguments)
    return 0


def _once(arguments: argparse.Namespace) -> None:
    from edgeloop_tools.analyse.run import run

    done = run(
        arguments.words[0], arguments.data, arguments.out, since=arguments.since, given=arguments.parameters,
        report=arguments.report, valid=arguments.valid, engine=arguments.engine, say=print,
    )  # fmt: skip
    print(done, flush=True)
    if arguments.publish:
        from edgeloop_tools.analyse.publish import publish, way

        sent = publish(arguments.out / "findings", way(arguments.publish))
        print(f"published: {sent} lists of assets that have changed, to {arguments.publish}", flush=True)


def _again(arguments: argparse.Namespace) -> int:
    """What fails is a line, and tried again when it is due; nothing is made up for."""
    import sys
    import time

    from edgeloop.config.quantities import Duration
    from edgeloop.errors import EdgeloopError

    try:
        pause = Duration(arguments.every).seconds
    except ValueError as error:
        raise EdgeloopError("wrong use", where="--every", why=str(error)) from None
    if pause < 1:
        raise EdgeloopError("wrong use", where="--every", why="at least a second")
    due = time.monotonic()
    while True:
        try:
            _once(arguments)
        except EdgeloopError as error:
            print(f"edgeloop: {error}", file=sys.stderr, flush=True)
        due = max(due + pause, time.monotonic())
        try:
            time.sleep(max(0.0, due - time.monotonic()))
        except KeyboardInterrupt:
            return 0
