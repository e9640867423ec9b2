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
        "build",
        help="make artifacts and recipes",
        description="Makes the artifacts, the recipes and the README tables.",
    )
    parser.add_argument("components", nargs="*", metavar="COMPONENT", help="package or component name; default: all")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the artifacts go; default: artifacts/")
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--check", action="store_true", help="write nothing; fail when recipes or tables are stale")
    other.add_argument("--lock", action="store_true", help="only renew the locks; COMPONENT then names profiles")
    other.add_argument(
        "--wheelhouse", metavar="LIST",
        help="only fetch wheels for devices without a network: linux/aarch64,linux/x86_64",
    )  # fmt: skip
    other.add_argument("--gdk", action="store_true", help="also lay out the umbrella as gdk wants it: gdk calls this")
    parser.add_argument("--upgrade", action="store_true", help="with --lock: take the newest versions")
    parser.add_argument("--python", default="3.11", metavar="X.Y", help="with --wheelhouse: the device's; default 3.11")
    parser.add_argument("--profiles", default="core", metavar="LIST", help="with --wheelhouse: default: core")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.lock:
        from edgeloop_tools.build.lock import lock

        lock(arguments.components, arguments.upgrade)
        return 0
    if arguments.wheelhouse:
        return _wheelhouse(arguments)
    return _check() if arguments.check else _build(arguments)


def _wheelhouse(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.build import ARTIFACTS
    from edgeloop_tools.build.wheelhouse import machines, wheelhouse

    for machine in machines(arguments.wheelhouse):
        profiles = arguments.profiles.replace(",", " ").split()
        path = wheelhouse(profiles, arguments.python, machine, arguments.out or ARTIFACTS)
        print(f"{path.stat().st_size:>11,} B  {path}")
    return 0


def _check() -> int:
    from edgeloop_tools.build import stale
    from edgeloop_tools.cli import ROOT

    if wrong := stale():
        names = ", ".join(str(path.relative_to(ROOT)) for path in wrong)
        raise EdgeloopError("generated files are stale", where=names, mend="run `edgeloop build` and commit them")
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.build import ARTIFACTS, bom, build, regenerate, write
    from edgeloop_tools.cli import ROOT
    from edgeloop_tools.fleet.project import umbrella

    out = arguments.out or ARTIFACTS
    built = build(arguments.components, out)
    if not arguments.components:
        write(out / bom.FILE, bom.bom(built).encode())
    changed = regenerate()
    umbrella(ROOT, laid_out=arguments.gdk)
    if arguments.json:
        table = [{"component": b.component, "path": str(b.path), "bytes": b.size, "limit": b.limit} for b in built]
        print(json.dumps({"artifacts": table, "changed": [str(path) for path in changed]}))
        return 0
    for one in built:
        path = one.path.relative_to(ROOT) if one.path.is_relative_to(ROOT) else one.path
        print(f"{one.size:>9,} B {one.size / one.limit:>5.0%} of the limit  {path}")
    for path in changed:
        print(f"{'changed':>11}  {path.relative_to(ROOT)}")
    return 0
