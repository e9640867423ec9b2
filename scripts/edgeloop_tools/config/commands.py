from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeloop.errors import EdgeloopError

if TYPE_CHECKING:
    from edgeloop_tools.cli import Subparsers
    from edgeloop_tools.config.line import Line


def register(subparsers: Subparsers) -> None:
    config = subparsers.add_parser("config", help="a line's configuration: one line.yaml")
    verbs = config.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = verbs.add_parser(
        "check", help="validate the whole line and every device's overlay",
        description="Validates the whole line, and with each overlay of overlays/ beside it.",
    )  # fmt: skip
    check.add_argument("file", type=Path, metavar="FILE")
    _common(check)
    check.set_defaults(run=_check)
    render = verbs.add_parser("render", help="what each component's configuration becomes")
    render.add_argument("file", type=Path, metavar="FILE")
    render.add_argument("--component", metavar="NAME", help="only this one")
    render.add_argument("--previous", type=Path, metavar="FILE", help="line.yaml or JSON: what changes, and resets")
    render.add_argument("--origins", action="store_true", help="instead: file and line of each value")
    render.add_argument("-o", "--out", type=Path, metavar="DIR", help="a file per component, and update-config.json")
    _common(render)
    render.set_defaults(run=_render)
    diff = verbs.add_parser("diff", help="what a new line.yaml changes: merges, resets, restarts")
    diff.add_argument("old", type=Path, metavar="OLD", help="line.yaml, or JSON of a deployment or a device")
    diff.add_argument("file", type=Path, metavar="NEW")
    _common(diff)
    diff.set_defaults(run=_diff)
    schema = verbs.add_parser("schema", help="the JSON Schema for editors")
    schema.add_argument("-o", "--out", type=Path, metavar="FILE", help="default: standard output")
    schema.set_defaults(run=_schema)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overlay", type=Path, action="append", default=[], metavar="FILE", help="of a device; repeat")
    parser.add_argument("--nucleus", choices=("lite", "classic"), default="lite", help="classic: without lite's limits")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def _checked(arguments: argparse.Namespace, overlays: list[Path]) -> Line:
    from edgeloop_tools.config.checks import check
    from edgeloop_tools.config.line import load

    line = load(arguments.file, overlays)
    check(line, arguments.nucleus)
    return line


def _valid(arguments: argparse.Namespace) -> Line | None:
    """The line, or None once its problems are told."""
    from edgeloop_tools.config.problems import LineErrors

    try:
        line = _checked(arguments, arguments.overlay)
        line.raise_problems()
    except LineErrors as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return None
    return line


def _check(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.config import overlays
    from edgeloop_tools.config.footprint import footprints
    from edgeloop_tools.config.problems import LineErrors, ordered

    devices = {"": arguments.overlay}
    if not arguments.overlay:
        devices |= {thing: [path] for thing, path in overlays(arguments.file).items()}
    problems, rooms = [], {}
    for thing, files in devices.items():
        try:
            line = _checked(arguments, files)
        except LineErrors as error:
            problems += error.problems
            continue
        problems += line.problems
        if all(problem.note for problem in line.problems):
            rooms[thing] = footprints(line)
    problems = ordered(problems)
    good = all(problem.note for problem in problems)
    if arguments.json:
        keys = {thing: {name: asdict(f) for name, f in room.items()} for thing, room in rooms.items()}
        print(json.dumps({"good": good, "problems": [p.row() for p in problems], "devices": keys}))
        return 0 if good else 1
    for problem in problems:
        print(problem)
    for thing, room in rooms.items() if good else ():
        print(f"{arguments.file}{f' on {thing}' if thing else ''}: nothing to object; as lite counts:")
        for name, f in room.items():
            print(f"  {name:<30} {f.keys:>3} keys, {f.whole:>3} of 99 with defaults, {f.bytes:>5,} of 9,750 B,"
                  f" largest value {f.leaf:>4} of 1,024 B ({f.where})")  # fmt: skip
    count = sum(not problem.note for problem in problems)
    if count:
        print(f"{count} {'problem' if count == 1 else 'problems'}")
    return 0 if good else 1


def _render(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.config import difference
    from edgeloop_tools.config.outline import full
    from edgeloop_tools.config.render import previous, text, updates, write

    line = _valid(arguments)
    if line is None:
        return 1
    if arguments.origins:
        return _origins(line, arguments)
    changes = difference(previous(arguments.previous), line) if arguments.previous else None
    configured = line.configured()
    documents = updates(configured, changes)
    if arguments.component:
        name = full(arguments.component)
        if name not in configured:
            mend = f"one of {', '.join(configured)}"
            raise EdgeloopError("the line does not configure it", where=arguments.component, mend=mend)
        documents = {name: documents.get(name, {})}
    if arguments.out:
        written = write(arguments.out, documents)
        print(json.dumps([str(path) for path in written]) if arguments.json else "\n".join(map(str, written)))
        return 0
    print(text(documents), end="")
    return 0


def _origins(line: Line, arguments: argparse.Namespace) -> int:
    rows = [(path, node.place, node.data()) for path, node in line.tree.leaves() if node.value is not None]
    if arguments.json:
        print(json.dumps([{"where": path, "file": str(p.file), "line": p.line, "value": v} for path, p, v in rows]))
        return 0
    for path, place, value in rows:
        print(f"{place}: {path}: {value}")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.config import difference
    from edgeloop_tools.config.footprint import footprints
    from edgeloop_tools.config.render import previous

    line = _valid(arguments)
    if line is None:
        return 1
    changes, rooms = difference(previous(arguments.old), line), footprints(line)
    restarts = dict.fromkeys(changes, arguments.nucleus == "lite")
    if arguments.json:
        document: dict[str, Any] = {
            name: {**update.request(), "keys": rooms[name].keys if name in rooms else 0, "restart": restarts[name],
                   "changes": [{"path": c.pointer, "before": c.before, "after": c.after} for c in update.changes]}
            for name, update in changes.items()
        }  # fmt: skip
        print(json.dumps(document, sort_keys=True))
        return 0
    for name, update in changes.items():
        told = "restarts" if restarts[name] else "takes it while it runs"
        print(f"{name}: {told}; {rooms[name].keys if name in rooms else 0} keys")
        for change in update.changes:
            print(f"  {change}")
        for pointer in update.reset:
            print(f"  reset {pointer}")
    if not changes:
        print("no component's configuration changes")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from edgeloop_tools.build import write
    from edgeloop_tools.config.schema import schema_text

    if arguments.out:
        write(arguments.out, schema_text().encode())
    else:
        print(schema_text(), end="")
    return 0
