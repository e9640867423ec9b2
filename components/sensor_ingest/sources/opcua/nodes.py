"""A row of the node table: `ns=2;s=Press.OilTemp Cel`."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import Literal

from edgeloop.config import units
from sensor_ingest.sources import entries

Kind = Literal["number", "bool", "enum", "string"]
_NODE = re.compile(r"(?:ns=(\d{1,5});|nsu=([^;\s]+);)?([isgb])=(.+)", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^']|'')+)'(?:\s+(.*))?", re.DOTALL)
_LONGEST = 4096
_INDEX = re.compile(r"\[(\d{1,7}(?:,\d{1,7}){0,2})\]")
_FIELD = re.compile(r"\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")


@dataclass(frozen=True, slots=True)
class NodeId:
    """A node of an address space (OPC 10000-6, 5.3.1.10). namespace: its index, or its URI."""

    identifier: int | str | uuid.UUID | bytes
    namespace: int | str = 0

    @classmethod
    def parse(cls, text: str) -> NodeId:
        """Raises ValueError.

        >>> NodeId.parse("ns=2;s=Press.OilTemp"), str(NodeId.parse("nsu=urn:press;i=85"))
        (NodeId(identifier='Press.OilTemp', namespace=2), 'nsu=urn:press;i=85')
        """
        match = _NODE.fullmatch(text)
        if match is None or len(text) > _LONGEST:
            raise ValueError(f"{text[:60]!r} is no node, such as ns=2;s=Press.OilTemp or ns=2;i=1001")
        index, uri, kind, rest = match.groups()
        if index is not None and int(index) > 65535:
            raise ValueError(f"ns={index} is no namespace from 0 to 65535")
        return cls(_identifier(kind, rest), uri if uri is not None else int(index or 0))

    def __str__(self) -> str:
        space = f"nsu={self.namespace};" if isinstance(self.namespace, str) else f"ns={self.namespace};"
        found = self.identifier
        if isinstance(found, int):
            text = f"i={found}"
        elif isinstance(found, bytes):
            text = f"b={base64.b64encode(found).decode()}"
        else:
            text = f"{'s' if isinstance(found, str) else 'g'}={found}"
        return ("" if self.namespace == 0 else space) + text


def _identifier(kind: str, text: str) -> int | str | uuid.UUID | bytes:
    try:
        if kind == "i":
            if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
                raise ValueError
            return int(text)
        if kind == "g":
            return uuid.UUID(text)
        return base64.b64decode(text, validate=True) if kind == "b" else text
    except (ValueError, binascii.Error):
        raise ValueError(f"{text[:60]!r} is no identifier of a node, {kind}=…") from None


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a server. labels: (code, label) of an enumeration. index: of an element of an array. field: of a
    structure, with points between those of structures in it."""

    name: str
    node: NodeId
    kind: Kind = "number"
    unit: str = "1"
    scale: float = 1.0
    offset: float = 0.0
    labels: entries.Labels = ()
    index: tuple[int, ...] = ()
    field: str = ""

    def __str__(self) -> str:
        """The row, which `parse` reads back."""
        node = str(self.node)
        plain = not node.startswith("'") and len(node.split()) == 1 and node == node.strip()
        parts = [node if plain else "'" + node.replace("'", "''") + "'"]
        parts += [f"[{','.join(map(str, self.index))}]"] if self.index else []
        parts += [f".{self.field}"] if self.field else []
        if self.kind != "number":
            parts.append(entries.enumeration(self.labels) if self.kind == "enum" else self.kind)
        parts += [self.unit] if self.unit != "1" else []
        return " ".join(parts + entries.conversion(self.scale, self.offset))


def parse(name: str, text: str) -> Row:
    """A row: the node, then in any order unit, scale, offset, and bool, string or enum(…) where it is no number.

    `[2]` is an element of an array, `.temp` a field of a structure. A node with blanks stands in single quotes, a quote
    in it twice. Raises ValueError.

    >>> row = parse("oil_temp", "ns=2;s=Press.OilTemp Cel *0.1")
    >>> row.node.identifier, row.unit, row.scale
    ('Press.OilTemp', 'Cel', 0.1)
    >>> parse("mode", "'ns=3;s=\\"DB 1\\".\\"mode\\"' enum(stopped,running)").node.identifier
    '"DB 1"."mode"'
    """
    text = text.strip()
    if text.startswith("'"):
        match = _QUOTED.fullmatch(text)
        if match is None:
            raise ValueError("the quote is not closed")
        node, rest = match[1].replace("''", "'"), match[2] or ""
    else:
        node, *others = text.split(maxsplit=1)
        rest = "".join(others)
    fields: dict[str, object] = {}

    def put(field: str, value: object, what: str) -> None:
        if field in fields:
            raise ValueError(f"it has two {what}s")
        fields[field] = value

    for token in rest.split():
        if token in ("bool", "string"):
            put("kind", token, "type")
        elif enum := entries.ENUM.fullmatch(token):
            put("kind", "enum", "type")
            put("labels", entries.labels(enum[1]), "list of label")
        elif place := _INDEX.fullmatch(token):
            put("index", tuple(map(int, place[1].split(","))), "index")
        elif field := _FIELD.fullmatch(token):
            put("field", field[1], "field")
        elif (factor := entries.scale(token)) is not None:
            put("scale", factor, "scale")
        elif (summand := entries.offset(token)) is not None:
            put("offset", summand, "offset")
        else:
            put("unit", units.unit(token), "unit")
    row = Row(name, NodeId.parse(node), **fields)  # type: ignore[arg-type]
    if row.kind != "number" and fields.keys() & {"unit", "scale", "offset"}:
        raise ValueError(f"a {row.kind} has no unit, scale or offset")
    return row
