"""`bench`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    bench = subparsers.add_parser(
        "bench",
        help="measure, beside the bare limit in the same run",
        description="The benchmarks are the files of tests/benchmarks; without names all but the long ones are run.",
    )
    bench.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    bench.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from edgeloop.errors import EdgeloopError
    from edgeloop_tools.bench.suite import available, goals, show, table
    from edgeloop_tools.harness.report import ran_on

    known = available()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        raise EdgeloopError("no such benchmark", where=", ".join(unknown), mend=f"known are {', '.join(known)}")
    figures: dict[str, dict[str, Any]] = {}
    reached: list[dict[str, Any]] = []
    for name in arguments.names or [name for name, benchmark in known.items() if not benchmark.long]:
        print(f"{name}: {known[name].describes}", flush=True)
        figures[name] = dict(known[name].run())
        print(show(figures[name]), flush=True)
        if own := goals(figures[name]):
            print(table(own), flush=True)
            figures[name]["goals"] = own
            reached += own
    if reached:
        print(f"goals: {sum(g['reached'] for g in reached)} of {len(reached)} reached")
        print(table(reached))
    if arguments.json is not None:
        text = json.dumps({"ran_on": ran_on(), "figures": figures}, indent=2)
        try:
            arguments.json.write_text(text + "\n")
        except OSError as error:
            raise EdgeloopError(
                "cannot write the figures", where=str(arguments.json), why=error.strerror or ""
            ) from error
    return 0
