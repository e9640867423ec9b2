"""A row of the tag table: `hr 104 int16 Cel *0.1`."""

from __future__ import annotations

import difflib
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from edgeloop.config import units
from sensor_ingest.sources import entries

Table = Literal["co", "di", "hr", "ir"]
TABLES: Final[dict[Table, str]] = {
    "co": "coil", "di": "discrete input", "hr": "holding register", "ir": "input register",
}  # fmt: skip
_TABLES: Final[dict[str, Table]] = {
    "coil": "co", "coils": "co", "discrete": "di", "discrete_input": "di", "holding": "hr", "holding_register": "hr",
    "input": "ir", "input_register": "ir", "co": "co", "di": "di", "hr": "hr", "ir": "ir",
}  # fmt: skip
Kind = Literal[
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int48", "uint48", "int64", "uint64", "float16",
    "float32", "float64", "bcd16", "bcd32", "bcd48", "bcd64", "enum", "string",
]  # fmt: skip
WORDS: Final[dict[str, int]] = {
    "bool": 1, "enum": 1, "int8": 1, "uint8": 1, "int16": 1, "uint16": 1, "float16": 1, "bcd16": 1,
    "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2, "int48": 3, "uint48": 3, "bcd48": 3,
    "int64": 4, "uint64": 4, "float64": 4, "bcd64": 4,
}  # fmt: skip
TYPES: Final[dict[str, Kind]] = {
    "boolean": "bool", "i8": "int8", "s8": "int8", "sint8": "int8", "sint": "int8", "u8": "uint8", "usint": "uint8",
    "byte": "uint8", "i16": "int16", "s16": "int16", "sint16": "int16", "short": "int16", "u16": "uint16",
    "ushort": "uint16", "word": "uint16", "unsigned16": "uint16", "signed16": "int16", "i32": "int32", "s32": "int32",
    "sint32": "int32", "dint": "int32", "signed32": "int32", "u32": "uint32", "udint": "uint32", "dword": "uint32",
    "unsigned32": "uint32", "i48": "int48", "s48": "int48", "u48": "uint48", "i64": "int64", "s64": "int64",
    "sint64": "int64", "lint": "int64", "u64": "uint64", "ulint": "uint64", "lword": "uint64", "qword": "uint64",
    "half": "float16", "f16": "float16", "float": "float32", "single": "float32", "real": "float32", "f32": "float32",
    "real32": "float32", "double": "float64", "lreal": "float64", "f64": "float64", "real64": "float64",
    "bcd": "bcd16", "bcd4": "bcd16", "bcd8": "bcd32",
}  # fmt: skip
"""What others call them, in small letters. What means two things (int, uint, long) is none of them."""
ORDERS: Final[dict[str, tuple[bool, bool]]] = {
    "abcd": (False, False), "cdab": (True, False), "badc": (False, True), "dcba": (True, True),
    "abcdefgh": (False, False), "ghefcdab": (True, False), "badcfehg": (False, True), "hgfedcba": (True, True),
    "abcdef": (False, False), "efcdab": (True, False), "badcfe": (False, True), "fedcba": (True, True),
    "wordswap": (True, False), "word_swap": (True, False), "msw": (False, False), "lsw": (True, False),
    "msw_first": (False, False), "lsw_first": (True, False),
}  # fmt: skip
"""Word order (the least significant first) and byte order (swapped in each word) by the bytes of 1.2.3.4."""
LONGEST_STRING = 250
_ADDRESS = re.compile(r"(\d{1,5}|0[xX][0-9a-fA-F]{1,4})(?:\.(\d{1,2})(?:-(\d{1,2}))?|\.(hi|lo))?", re.IGNORECASE)
_STRING = re.compile(r"string(\d{1,3})", re.IGNORECASE)
_JOINED = re.compile(r"(\w+?\d*)[_/-]((?:[a-h]{2}){2,4})", re.IGNORECASE)
_DEVICE = re.compile(r"@(\d{1,3})")
_NONE = re.compile(r"none=(\S+)", re.IGNORECASE)
_TYPE_LIKE = re.compile(
    r"(?:[uisfb]|s?bits?|u?s?int|float|bool|string|enum|bcd|u?long|real|d?word|char|(?:un)?signed)\W*\d*(?:_t|u|s)?"
    r"(?:[_\W]?(?:be|le|sw|[a-h]{4,8}))?", re.IGNORECASE,
)  # fmt: skip
_ORDER_LIKE = re.compile(r"[a-h]{4}(?:[a-h]{2}){0,2}|[0-4]{4}|be|le|(?:big|little).?endian", re.IGNORECASE)
_DOUBTFUL = re.compile(r"(?:u|b|bits?)\d*", re.IGNORECASE)
"""Units by the letter, but in a row of Modbus likelier half of a type."""
LARGEST_UNIT = 255


@dataclass(frozen=True, slots=True)
class Tag:
    """One value of a device.

    address: as on the wire, from 0. bit: of a register, 0 the least significant; width: bits from there on; half: of
    a register, `hi` or `lo`. length: characters of a string. none: raw values that mean that there is none, as bits.
    little: the least significant word first; None: as the source says. swapped: the bytes of each word are.
    device: unit id; None: as the source says. labels: (code, label) of an enumeration.
    """

    name: str
    table: Table
    address: int
    kind: Kind = "uint16"
    bit: int | None = None
    width: int = 1
    half: Literal["", "hi", "lo"] = ""
    none: tuple[int, ...] = ()
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
        if self.bit is not None:
            last = f"-{self.bit + self.width - 1}" if self.width > 1 else ""
            return f"{self.table} {self.address}.{self.bit}{last}"
        return f"{self.table} {self.address}" + (f".{self.half}" if self.half else "")

    def __str__(self) -> str:
        """The row, which `parse` reads back."""
        parts = [self.where]
        if self.kind == "enum":
            parts.append(entries.enumeration(self.labels))
        elif self.kind == "string":
            parts.append(f"string{self.length}")
        elif self.kind != "bool" and self.width == 1:
            parts.append(self.kind)
        parts += [self.unit] if self.unit != "1" else []
        parts += entries.conversion(self.scale, self.offset)
        parts += [] if self.little is None else ["little" if self.little else "big"]
        parts += ["swapped"] if self.swapped else []
        parts += [f"none={','.join(f'0x{n:X}' for n in self.none)}"] if self.none else []
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
    table = _TABLES.get(tokens[0].lower()) if tokens else None
    if table is None:
        found = repr(tokens[0]) if tokens else "nothing"
        raise ValueError(f"{found} is no table; one of: {', '.join(TABLES)}")
    if len(tokens) < 2:
        raise ValueError("the address is missing")
    address = _ADDRESS.fullmatch(tokens[1])
    number = int(address[1], 0 if address[1][:2].lower() == "0x" else 10) if address else -1
    if address is None or number > 65535:
        raise ValueError(f"{tokens[1]!r} is no address from 0 to 65535")
    fields: dict[str, object] = {}

    def put(field: str, value: object, what: str) -> None:
        if field in fields:
            raise ValueError(f"it has two {what}s")
        fields[field] = value

    none = ""
    for token in tokens[2:]:
        if _type(token, put) or _order(token, put):
            continue
        if device := _DEVICE.fullmatch(token):
            if int(device[1]) > LARGEST_UNIT:
                raise ValueError(f"{token!r} is no unit id from 0 to {LARGEST_UNIT}")
            put("device", int(device[1]), "unit id")
        elif said := _NONE.fullmatch(token):
            none += ("," if none else "") + said[1]
        elif (factor := entries.scale(token)) is not None:
            put("scale", factor, "scale")
        elif (summand := entries.offset(token)) is not None:
            put("offset", summand, "offset")
        else:
            put("unit", _unit(token), "unit")
    if address[2] is not None:
        fields["bit"] = int(address[2])
        if address[3] is not None:
            fields["width"] = int(address[3]) - int(address[2]) + 1
            fields.setdefault("kind", "uint16")
    if address[4] is not None:
        fields["half"] = address[4].lower()
        fields.setdefault("kind", "uint8")
    tag = Tag(name, table, number, **_defaults(table, fields))  # type: ignore[arg-type]
    if none:
        tag = replace(tag, none=_nothing(tag, none))
    _check(tag)
    return tag


def _type(token: str, put: Callable[[str, object, str], None]) -> bool:
    joined = _JOINED.fullmatch(token)
    if joined and _type(joined[1], put) and _order(joined[2], put):
        return True
    kind = TYPES.get(token.lower(), token.lower())
    if kind in WORDS and kind != "enum":
        put("kind", kind, "type")
    elif enum := entries.ENUM.fullmatch(token):
        put("kind", "enum", "type")
        put("labels", entries.labels(enum[1]), "list of label")
    elif string := _STRING.fullmatch(token):
        put("kind", "string", "type")
        put("length", int(string[1]), "length")
    else:
        return False
    return True


def _order(token: str, put: Callable[[str, object, str], None]) -> bool:
    lower = token.lower()
    if lower in ORDERS:
        little, swapped = ORDERS[lower]
        put("little", little, "word order")
        if swapped:
            put("swapped", True, "byte order")
    elif lower in ("big", "little"):
        put("little", lower == "little", "word order")
    elif lower in ("swapped", "byteswap", "byte_swap", "ba"):
        put("swapped", True, "byte order")
    elif lower != "ab":
        return False
    return True


def _unit(token: str) -> str:
    known = units.meant(token) is not None and _DOUBTFUL.fullmatch(token) is None
    if not known and _ORDER_LIKE.fullmatch(token):
        raise ValueError(f"{token!r} is no order; one of: big, little, swapped, ABCD, CDAB, BADC, DCBA")
    near = difflib.get_close_matches(token.lower(), [*WORDS, *TYPES, "string", "little", "swapped"], n=1, cutoff=0.75)
    if not known and (near or _TYPE_LIKE.fullmatch(token)):
        types = ", ".join([*(w for w in WORDS if w != "enum"), "enum(a,b)", "string8"])
        raise ValueError(f"{token!r} is no type; one of: {types}")
    return units.unit(token)


def _nothing(tag: Tag, text: str) -> tuple[int, ...]:
    """Raw values that mean that there is none, as the bits of the type. Raises ValueError."""
    bits = 8 if tag.half else tag.width if tag.width > 1 else 16 * tag.words
    found = []
    for part in text.split(","):
        try:
            if part.lower().startswith("0x"):
                value = int(part, 16)
            elif tag.kind.startswith("float"):
                value = int.from_bytes(struct.pack(f">{ {2: 'e', 4: 'f', 8: 'd'}[bits // 8] }", float(part)), "big")
            else:
                value = int(part)
        except (ValueError, OverflowError, struct.error):
            raise ValueError(f"none={part} is no number, such as 0x8000 or -32768") from None
        if not -(1 << (bits - 1)) <= value < 1 << bits:
            raise ValueError(f"none={part} does not fit into {bits} bits")
        found.append(value % (1 << bits))
    return tuple(found)


def _defaults(table: Table, found: dict[str, object]) -> dict[str, object]:
    if table in ("co", "di") or "bit" in found:
        return {"kind": "bool", **found}
    return found


def _check(tag: Tag) -> None:
    bits = tag.table in ("co", "di")
    if bits and (tag.kind != "bool" or tag.bit is not None):
        raise ValueError(f"a {TABLES[tag.table]} is a bool")
    if tag.bit is not None and tag.width == 1 and (tag.kind != "bool" or tag.bit > 15):
        raise ValueError("a bit of a register is a bool, from .0 to .15")
    if tag.width != 1 and (tag.kind not in ("uint16", "enum") or tag.width < 1 or (tag.bit or 0) + tag.width > 16):
        raise ValueError("bits of a register are a number or enum(…), such as .4-7")
    if tag.kind in ("int8", "uint8") and not tag.half:
        raise ValueError(f"which half of the register: {tag.table} {tag.address}.hi or {tag.table} {tag.address}.lo")
    if tag.half and tag.kind not in ("int8", "uint8"):
        raise ValueError("a half of a register is int8 or uint8")
    if tag.none and (bits or not tag.numeric):
        raise ValueError("`none=` is for numbers")
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
