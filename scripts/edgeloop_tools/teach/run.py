"""One lesson: pictures in, package out, told as it goes; active, where it is asked for."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgeloop.config.identifiers import is_id
from edgeloop.errors import EdgeloopError
from edgeloop.models.package import unpack
from edgeloop.models.versions import following
from edgeloop.teach import template
from edgeloop.teach.lesson import Options, Taught, teach
from edgeloop.teach.package import write
from edgeloop_tools.model.keys import private
from edgeloop_tools.teach.pictures import read

VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.-]+)?")


def run(arguments: argparse.Namespace) -> int:
    name, out = arguments.name, arguments.out or Path(f"{arguments.name}.tar")
    if not is_id(name):
        raise EdgeloopError("no name for a model", where="NAME", why=repr(name), mend="a-z, 0-9, _ and -")
    parent, version = _before(out, name, arguments.version)
    quiet = arguments.json
    good, lines = read(arguments.source, arguments.region, arguments.good)
    bad, more = read(arguments.bad, arguments.region, arguments.good) if arguments.bad else ([], [])
    for line in [*lines, *more]:
        print(f"left out: {line}", file=sys.stderr)
    options = Options(reject=arguments.reject, size=arguments.size, threads=max(1, min(2, os.cpu_count() or 1)))
    lesson = template.teach if arguments.template else teach
    taught = lesson(good, bad, options, (lambda line: None) if quiet else print)
    if not quiet:
        _show(taught)
    if not arguments.yes and sys.stdin.isatty() and not quiet and not _agreed(taught):
        return 1
    key = private(arguments.key) if arguments.key else None
    digest = write(
        taught, out, name, version, by=arguments.by, source=arguments.source, key=key, parent=parent,
    )  # fmt: skip
    if quiet:
        print(json.dumps(_document(taught, out, digest, version)))
    else:
        print(f"{out}: {name} {version}, {out.stat().st_size:,} B, sha256:{digest}")
    if arguments.activate:
        from edgeloop_tools.teach.activate import activate

        activate(name, out, digest, arguments.camera, arguments.root, quiet)
    elif not quiet:
        print("next: --activate here; or `edgeloop model sign`, `model publish`, `deploy`")
    return 0


def _before(out: Path, name: str, version: str) -> tuple[str | None, str]:
    """Digest of the package that this one follows, and the new one's version."""
    if version and not VERSION.fullmatch(version):
        raise EdgeloopError("no version", where="--version", why=repr(version), mend="such as 1.2.0")
    if not out.is_file():
        return None, version or "1.0.0"
    with tempfile.TemporaryDirectory() as folder:
        package = unpack(out, Path(folder))
    if package.manifest.name != name:
        why = f"it is {package.manifest.name}"
        raise EdgeloopError("there is a package of another model", where=str(out), why=why, mend="name another with -o")
    return package.digest, version or following(package.manifest.version)


def _show(taught: Taught) -> None:
    for each in taught.judged:
        kind = "bad " if each.bad else "good"
        said = f"left out: {each.refused}" if each.refused else f"{each.score:5.2f} of the limit"
        print(f"  {kind} {each.name}: {said}{f'   <- {each.hint}' if each.hint else ''}")
    for note in taught.notes:
        print(note)
    m = taught.metrics
    line = f"of the good ones, by a memory without them: {m['false_rejects_held_out']:.1%} over the limit"
    if "found_held_out" in m:
        line += f"; of the {int(m['bad'])} bad ones {m['found_held_out']:.0%} found"
    print(line + f" ({m['seconds']:.0f} s)")


def _agreed(taught: Taught) -> bool:
    odd = sum(bool(j.hint or j.refused) for j in taught.judged)
    if not odd:
        return True
    return input(f"{odd} pictures are odd (above). Go on? [y/N] ").strip().lower().startswith("y")


def _document(taught: Taught, out: Path, digest: str, version: str) -> dict[str, Any]:
    return {
        "package": str(out), "digest": digest, "version": version, "size": [taught.width, taught.height],
        "metrics": taught.metrics, "notes": taught.notes,
        "pictures": [
            {"name": j.name, "bad": j.bad, "refused": j.refused, "hint": j.hint, "score": j.score}
            for j in taught.judged
        ],
    }  # fmt: skip
