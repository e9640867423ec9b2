"""What went up under each schema, as one: exact times, epochs as numbers, the names of the channels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from edgeloop import optional
from edgeloop.layout import RESERVED, column, plain

EXACT: Final = "time_ns"
TAIL: Final = ("device", "epoch", "index", "quality")
_PURPOSE: Final = "reading uploaded data"


def names(schema: Any) -> dict[str, str]:
    """Column by channel. Bands of release 0.1 have the name that they have today."""
    found: dict[str, str] = {}
    for field in schema:
        if field.name in RESERVED:
            continue
        own = (field.metadata or {}).get(b"name")
        found[column(own.decode()) if own is not None else _renamed(field.name)] = field.name
    return found


def times(schema: Any) -> list[str]:
    return [EXACT] if EXACT in schema.names else ["time"]


def today(table: Any) -> Any:
    """As `read` gives it: time in ns first, then the channels."""
    pa = optional.load("pyarrow", _PURPOSE)
    if EXACT in table.schema.names:
        at = table.schema.get_field_index(EXACT)
        exact = table.column(at).cast(pa.timestamp("ns", "UTC"))
        table = table.set_column(at, pa.field("time", exact.type, nullable=False), exact)
    table = numbered(table)
    at = table.schema.get_field_index("quality")
    table = table.set_column(at, table.schema.field(at).with_type(pa.uint8()), table.column(at).cast(pa.uint8()))
    known = {stored: name for name, stored in names(table.schema).items()}
    fields, values = [], []
    for at, field in enumerate(table.schema):
        kept = {key: value for key, value in (field.metadata or {}).items() if key != b"name"}
        words = pa.types.is_dictionary(field.type)
        kind = field.type.value_type if words else field.type
        values.append(table.column(at).cast(kind) if words else table.column(at))
        fields.append(pa.field(known.get(field.name, field.name), kind, nullable=field.nullable, metadata=kept or None))
    return pa.Table.from_arrays(values, schema=pa.schema(fields, metadata=table.schema.metadata))


def numbered(table: Any) -> Any:
    """With the epoch as a number."""
    pa = optional.load("pyarrow", _PURPOSE)
    at = table.schema.get_field_index("epoch")
    if not pa.types.is_string(table.schema.field(at).type):
        return table
    words = table.column(at).combine_chunks().dictionary_encode()
    numbers = np.array([int(word, 16) for word in words.dictionary.to_pylist()], dtype=np.uint64)
    values = pa.array(numbers[np.asarray(words.indices)] if len(words) else numbers, type=pa.uint64())
    return table.set_column(at, pa.field("epoch", pa.uint64(), nullable=False), values)


def _renamed(stored: str) -> str:
    """
    >>> _renamed("x_band_3.2_6.4_kHz"), _renamed("Druck")
    ('x_band_3200_6400_hz', 'Druck')
    """
    return plain(stored) if "_band_" in stored else stored
