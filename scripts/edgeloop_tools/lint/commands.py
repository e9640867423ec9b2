from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers


def register(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "lint",
        help="judge recipes by the rules of both nuclei",
        description="Judges recipes by the rules of both nuclei.",
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="recipes or folders; default: recipes/")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.cli import ROOT
    from edgeloop_tools.lint import check

    files = []
    for path in arguments.paths or [ROOT / "recipes"]:
        found = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
        if not found:
            raise EdgeloopError("no recipes here", where=str(path), mend="run `edgeloop build`")
        files += found
    findings = check(files)
    if arguments.json:
        rows = [{"file": str(f.path), "line": f.line, "rule": f.rule, "what": f.what, "mend": f.mend} for f in findings]
        print(json.dumps(rows))
    else:
        for finding in findings:
            print(finding)
        count = f"{len(findings)} findings" if findings else "nothing to object"
        print(f"{len(files)} recipes: {count}")
    return 1 if findings else 0
