"""A row of the tag table: `hr 104 int16 Cel *0.1`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from sensor_ingest.sources import entries

Table = Literal["co", "di", "hr", "ir"]
TABLES: Final[dict[Table, str]] = {
    "co": "coil", "di": "discrete input", "hr": "holding register", "ir": "input register",
}  # fmt: skip
Kind = Literal["bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "enum", "string"]
WORDS: Final[dict[str, int]] = {
    "bool": 1, "enum": 1, "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2,
    "int64": 4, "uint64": 4, "float64": 4,
}  # fmt: skip
LONGEST_STRING = 250
_ADDRESS = re.compile(r"(\d{1,5})(?:\.(\d{1,2}))?")
_STRING = re.compile(r"string(\d{1,3})")
_DEVICE = re.compile(r"@(\d{1,3})")
_TYPE_LIKE = re.compile(r"(?:u?int|float|bool|string|enum)\W*\d*.*")


@dataclass(frozen=True, slots=True)
class Tag:
    """One value of a device.

    address: as on the wire, from 0. bit: of a register, 0 the least significant. length: characters of a string.
    little: the least significant word first; None: as the source says. swapped: the bytes of each word are.
    device: unit id; None: as the source says. labels: (code, label) of an enumeration.
    """

    name: str
    table: Table
    address: int
    kind: Kind = "uint16"
    bit: int | None = None
    length: int = 0
    unit: str = "1"
    scale: float = 1.0
    offset: float = 0.0
    little: bool | None = None
    swapped: bool = False
    device: int | None = None
    labels: tuple[tuple[int, str], ...] = ()

    @property
    def numeric(self) -> bool:
        return self.kind not in ("bool", "enum", "string")

    @property
    def words(self) -> int:
        """Registers (or bits of co and di) it takes."""
        return (self.length + 1) // 2 if self.kind == "string" else WORDS[self.kind]

    @property
    def end(self) -> int:
        return self.address + self.words

    @property
    def where(self) -> str:
        """As in the table: `hr 104`."""
        return f"{self.table} {self.address}" + ("" if self.bit is None else f".{self.bit}")

    def __str__(self) -> str:
        """The row, which `parse` reads back."""
        parts = [self.where]
        if self.kind == "enum":
            parts.append(entries.enumeration(self.labels))
        elif self.kind == "string":
            parts.append(f"string{self.length}")
        elif self.kind != "bool":
            parts.append(self.kind)
        parts += [self.unit] if self.unit != "1" else []
        parts += entries.conversion(self.scale, self.offset)
        parts += [] if self.little is None else ["little" if self.little else "big"]
        parts += ["swapped"] if self.swapped else []
        parts += [] if self.device is None else [f"@{self.device}"]
        return " ".join(parts)


def parse(name: str, text: str) -> Tag:
    """A row: table, address, then in any order type, unit, scale, offset, word order, unit id. Raises ValueError.

    >>> tag = parse("oil_temp", "hr 104 int16 Cel *0.1 -40")
    >>> tag.address, tag.kind, tag.unit, tag.scale, tag.offset
    (104, 'int16', 'Cel', 0.1, -40.0)
    >>> str(parse("mode", "hr 7 enum(stopped,running,fault=9) @3"))
    'hr 7 enum(stopped=0,running=1,fault=9) @3'
    """
    tokens = text.split()
    if not tokens or tokens[0] not in TABLES:
        found = repr(tokens[0]) if tokens else "nothing"
        raise ValueError(f"{found} is no table; one of: {', '.join(TABLES)}")
    if len(tokens) < 2:
        raise ValueError("the address is missing")
    table: Table = tokens[0]
    address = _ADDRESS.fullmatch(tokens[1])
    if address is None or int(address[1]) > 65535:
        raise ValueError(f"{tokens[1]!r} is no address from 0 to 65535")
    fields: dict[str, object] = {}

    def put(field: str, value: object, what: str) -> None:
        if field in fields:
            raise ValueError(f"it has two {what}s")
        fields[field] = value

    for token in tokens[2:]:
        if _type(token, put):
            continue
        if token in ("big", "little"):
            put("little", token == "little", "word order")
        elif token == "swapped":
            put("swapped", True, "byte order")
        elif device := _DEVICE.fullmatch(token):
            if int(device[1]) > 247:
                raise ValueError(f"{token!r} is no unit id from 0 to 247")
            put("device", int(device[1]), "unit id")
        elif (factor := entries.scale(token)) is not None:
            put("scale", factor, "scale")
        elif (summand := entries.offset(token)) is not None:
            put("offset", summand, "offset")
        else:
            put("unit", _unit(token), "unit")
    if address[2] is not None:
        fields["bit"] = int(address[2])
    tag = Tag(name, table, int(address[1]), **_defaults(table, fields))  # type: ignore[arg-type]
    _check(tag)
    return tag


def _type(token: str, put: Callable[[str, object, str], None]) -> bool:
    if token in WORDS and token != "enum":
        put("kind", token, "type")
    elif enum := entries.ENUM.fullmatch(token):
        put("kind", "enum", "type")
        put("labels", entries.labels(enum[1]), "list of label")
    elif string := _STRING.fullmatch(token):
        put("kind", "string", "type")
        put("length", int(string[1]), "length")
    else:
        return False
    return True


def _unit(token: str) -> str:
    near = difflib.get_close_matches(token, [*WORDS, "string", "little", "big", "swapped"], n=1, cutoff=0.75)
    if near or _TYPE_LIKE.fullmatch(token):
        types = ", ".join([*(w for w in WORDS if w != "enum"), "enum(a,b)", "string8"])
        raise ValueError(f"{token!r} is no type; one of: {types}")
    if not token.isascii() or token[0] in "*+@":
        raise ValueError(f"{token!r} is no unit (UCUM)")
    return token


def _defaults(table: Table, found: dict[str, object]) -> dict[str, object]:
    if table in ("co", "di") or "bit" in found:
        return {"kind": "bool", **found}
    return found


def _check(tag: Tag) -> None:
    bits = tag.table in ("co", "di")
    if bits and (tag.kind != "bool" or tag.bit is not None):
        raise ValueError(f"a {TABLES[tag.table]} is a bool")
    if tag.bit is not None and (tag.kind != "bool" or tag.bit > 15):
        raise ValueError("a bit of a register is a bool, from .0 to .15")
    if not bits and tag.kind == "bool" and tag.bit is None:
        raise ValueError(f"name the bit of the register, such as {tag.table} {tag.address}.0")
    if tag.kind == "string" and not 1 <= tag.length <= LONGEST_STRING:
        raise ValueError(f"a string has 1 to {LONGEST_STRING} characters")
    if not tag.numeric and (tag.unit != "1" or tag.scale != 1.0 or tag.offset):
        raise ValueError(f"a {tag.kind} has no unit, scale or offset")
    if tag.words == 1 and tag.little is not None:
        raise ValueError("one word has no word order")
    if bits and tag.swapped:
        raise ValueError("a bit has no byte order")
    if tag.end > 65536:
        raise ValueError("it reaches beyond the last address, 65535")
