"""Tables of a source: one compact text per row, in the configuration or in a file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgeloop.component import user
from edgeloop.config.identifiers import is_id
from edgeloop.errors import EdgeloopError
from edgeloop.wire.batch import Column

Row = TypeVar("Row")

Labels = tuple[tuple[int, str], ...]
ENUM = re.compile(r"enum\(([^\s()]+)\)")
LONGEST = 1 << 20
"""Bytes of a table's file."""
_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_SCALE = re.compile(rf"([*/])([+-]?{_NUMBER})")
_OFFSET = re.compile(rf"[+-]{_NUMBER}")


def split(text: str) -> dict[str, str]:
    """Rows `name: text`, one a line; empty lines and those that begin with # are left out. Raises ValueError.

    >>> split("oil: hr 1 int16 Cel\\n# no more")
    {'oil': 'hr 1 int16 Cel'}
    """
    rows: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, rest = line.partition(":")
        name = name.strip()
        if not colon:
            raise ValueError(f"line {number}: {line[:40]!r} is no row, such as `name: …`")
        if name in rows:
            raise ValueError(f"line {number}: {name} is there twice")
        rows[name] = rest.strip()
    return rows


def parse(given: Mapping[str, str] | str, row: Callable[[str, str], Row], field: str) -> dict[str, Row]:
    """Rows by name, made by `row(name, text)`. Raises ValueError naming every row that is wrong."""
    try:
        texts = split(given) if isinstance(given, str) else given
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    rows: dict[str, Row] = {}
    wrong = []
    for name, text in texts.items():
        if not text:
            continue
        try:
            if not is_id(name):
                raise ValueError("a name is of a-z, 0-9, _ and -, at most 32 characters")
            rows[name] = row(name, text)
        except ValueError as error:
            wrong.append(f"{field}.{name}: {error}")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise ValueError("; ".join(wrong[:3]) + more)
    return rows


def targets(
    given: Mapping[str, str] | str, row: Callable[[str, str], Row], actions: Mapping[str, object]
) -> dict[str, Row]:
    """What is written, by target: each of `actions` once, and no other. Raises ValueError."""
    found = parse(given, row, "writes")
    for name in actions:
        if name not in found:
            raise ValueError(f"actions.{name}: `writes` does not say where to")
    for name in found:
        if name not in actions:
            raise ValueError(f"writes.{name}: `actions` does not have it")
    return found


def read(path: str) -> str:
    """The text of a table's file. Raises EdgeloopError."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise EdgeloopError("a table is too large", where=path, mend=f"at most {LONGEST} B")
        return content.decode()
    except OSError as error:
        mend = f"let user {user()} read it" if isinstance(error, PermissionError) else "correct its path"
        raise EdgeloopError("cannot read a table", where=path, why=error.strerror or "", mend=mend) from None
    except UnicodeDecodeError:
        raise EdgeloopError("cannot read a table", where=path, why="it is no UTF-8 text") from None


def scale(token: str) -> float | None:
    """The factor of `*0.1` or `/10`; None for another token.

    >>> scale("*0.1"), scale("/4"), scale("1/min")
    (0.1, 0.25, None)
    """
    match = _SCALE.fullmatch(token)
    if match is None:
        return None
    number = float(match[2])
    if number == 0 or not math.isfinite(number):
        raise ValueError(f"{token!r} is no scale")
    factor = number if match[1] == "*" else 1 / number
    if factor == 0 or not math.isfinite(factor):
        raise ValueError(f"{token!r} is no scale")
    return factor


def offset(token: str) -> float | None:
    """The summand of `+5` or `-40`; None for another token."""
    if _OFFSET.fullmatch(token) is None:
        return None
    number = float(token)
    if not math.isfinite(number):
        raise ValueError(f"{token!r} is no offset")
    return number


def conversion(factor: float, summand: float) -> list[str]:
    """The tokens that `scale` and `offset` read back."""
    tokens = [f"*{factor!r}"] if factor != 1.0 else []
    return [*tokens, f"{'+' if summand > 0 else ''}{summand!r}"] if summand else tokens


def labels(text: str) -> Labels:
    """(code, label) of `stopped,running,fault=9`. Raises ValueError."""
    found: list[tuple[int, str]] = []
    code = 0
    for part in text.split(","):
        label, equals, number = part.partition("=")
        if equals:
            if not number.isascii() or not number.isdigit() or int(number) > 65535:
                raise ValueError(f"{part!r} is no label, such as fault=4")
            code = int(number)
        if not label:
            raise ValueError("a label of the enumeration is empty")
        found.append((code, label))
        code += 1
    for at, what in ((0, "code"), (1, "label")):
        if len({pair[at] for pair in found}) < len(found):
            raise ValueError(f"the enumeration has a {what} twice")
    if code > 65536:
        raise ValueError("the codes of the enumeration go beyond 65535")
    return tuple(found)


def enumeration(codes: Labels) -> str:
    """The token that holds what `labels` reads."""
    return f"enum({','.join(f'{label}={code}' for code, label in codes)})"


def column(values: Sequence[int | str], codes: Labels) -> Column:
    """Strings, or where there are labels an enumeration; a code without label shows as its number."""
    if not codes:
        return Column("string", tuple(map(str, values)))
    shown = dict(codes)
    extra = dict.fromkeys(str(value) for value in values if value not in shown)
    known = {code: place for place, (code, _) in enumerate(codes)}
    known |= {int(text): len(codes) + k for k, text in enumerate(extra)}
    places = np.array([known[int(value)] for value in values], dtype=np.int32)
    return Column("enum", places, (*shown.values(), *extra))
