"""`edgeloop export --dead`: what came in and nothing understood."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeloop.decode import document
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.journal import directory
from edgeloop_tools.core.daemon import default_root

FILES = ("dead.1.jsonl", "dead.jsonl")


def show(root: Path | None, source: str, *, as_json: bool) -> int:
    """Prints the letters, the oldest first, of one source or of all."""
    folder = directory((root or default_root()).absolute()).parent
    count = 0
    for letter in letters(folder, source):
        count += 1
        if as_json:
            print(json.dumps(letter))
        else:
            where = f"{letter.get('source')} {letter.get('stream')}"
            print(f"{letter.get('time_rfc3339')}  {where}  {letter.get('bytes')} B  {letter.get('why')}")
            print(f"    {text(letter)}")
    if not count and not as_json:
        print("no payload was refused")
    return 0


def letters(folder: Path, source: str = "") -> Iterator[dict[str, Any]]:
    """Raises EdgeloopError where they cannot be read."""
    for name in FILES:
        try:
            lines = (folder / name).read_bytes().splitlines()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise EdgeloopError("cannot read the dead letters", where=str(folder / name), why=str(error)) from None
        for line in lines:
            try:
                letter = document(line, what="a dead letter")
            except DecodeError:
                continue
            if isinstance(letter, dict) and source in ("", letter.get("source")):
                yield letter


def text(letter: dict[str, Any]) -> str:
    """The beginning of a payload, as a person can read it."""
    try:
        payload = base64.b64decode(str(letter.get("payload", "")))
    except (binascii.Error, ValueError):
        return "?"
    shown = payload[:120].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
