"""JSON of a known shape, read by a type made for it: what does not fit is left to the general path."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from sensor_ingest.payload.errors import BadPayload
from sensor_ingest.payload.form import Field, Form
from sensor_ingest.payload.places import Keys, parse
from sensor_ingest.payload.stamps import moment

_VALUE: Any = float | bool | None | list[float | None]
_TIME: Any = int | float | str
ABSENT = -1
_UNITS = ((10**17, 1), (10**14, 1_000), (10**11, 1_000_000), (10**8, 1_000_000_000))
Found = tuple[NDArray[np.float64], NDArray[np.int64] | None]


class Compiled:
    """values (n, channels), and times of the readings (ns UTC), one for all of a list of samples; or None."""

    def __init__(self, one: Any, many: Any, get: Callable[[Any], Any], columns: int, form: Form, timed: bool) -> None:
        self._one, self._many = msgspec.json.Decoder(one), msgspec.json.Decoder(many)
        self._get, self._columns, self._form, self._timed = get, columns, form, timed
        self._inner: Callable[[Any], Any] | None = None

    @classmethod
    def of(cls, form: Form, fields: Sequence[Field], time: Keys | None) -> Compiled | None:
        """None where the places are not all names of maps."""
        places = [f.keys for f in fields] + ([] if time is None else [time])
        records = parse(form.records) if form.records else ()
        named = all(keys and all(isinstance(key, str) for key in keys) for keys in places)
        apart = all(a == b or a[: len(b)] != b for a in places for b in places) and len(set(places)) == len(places)
        if form.payload != "json" or not named or not apart or form.encoding != "utf-8":
            return None
        if not all(isinstance(key, str) for key in records):
            return None
        tree: dict[str, Any] = {}
        paths = []
        for n, keys in enumerate(places):
            node = tree
            for key in keys[:-1]:
                node = node.setdefault(str(key), {})
            node[str(keys[-1])] = _TIME if n == len(fields) else _VALUE
            paths.append(keys)
        row, names = _struct(tree)
        get = attrgetter(*[_attribute(names, keys) for keys in paths])
        if len(paths) == 1:
            single = get
            get = lambda found: (single(found),)  # type: ignore[assignment]  # noqa: E731
        if not records:
            return cls(row, list[row], get, len(fields), form, time is not None)  # type: ignore[valid-type]
        outer: Any = list[row]  # type: ignore[valid-type]
        for key in reversed(records):
            outer = msgspec.defstruct("Outer", [("inner", outer)], rename={"inner": str(key)}, gc=False)
        made = cls(outer, outer, get, len(fields), form, time is not None)
        made._inner = attrgetter(".".join(["inner"] * len(records)))
        return made

    def decode(self, payload: bytes) -> Found | None:
        try:
            if self._inner is not None:
                found = self._inner(self._one.decode(payload))
            elif payload[:1] == b"[":
                found = self._many.decode(payload)
            else:
                found = (self._one.decode(payload),)
            rows = [self._get(each) for each in found]
            return self._arranged(rows) if rows else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError, TypeError):
            return None

    def _arranged(self, rows: list[Any]) -> Found | None:
        """Raises ValueError where a row is of scalars and lists."""
        times = None
        if self._timed:
            said = [row[-1] for row in rows]
            rows = [row[:-1] for row in rows]
            if (times := self._times(said)) is None:
                return None
        values = np.array(rows, dtype=np.float64)
        if values.ndim == 3:
            if len(rows) != 1 or self._form.rate is None:
                return None
            values = np.ascontiguousarray(values[0].T)
        if not len(values) or np.isnan(values).all(axis=1).any():
            return None
        return values, times

    def _times(self, said: list[Any]) -> NDArray[np.int64] | None:
        if not self._form.form and type(said[0]) is int:
            smallest, greatest = min(said), max(said)
            for least, unit in _UNITS:
                if smallest >= least:
                    if least < 10**17 and greatest >= least * 1000:
                        break
                    return np.array(said, dtype=np.int64) * unit
        if ABSENT in said:
            return None
        try:
            return np.array([moment(value, self._form.form, self._form.zone) for value in said], dtype=np.int64)
        except BadPayload:
            return None


def _struct(tree: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A type, and by key the attribute with those within."""
    fields: list[Any] = []
    rename: dict[str, str] = {}
    names: dict[str, Any] = {}
    for n, (key, node) in enumerate(tree.items()):
        attribute = f"f{n}"
        rename[attribute] = key
        if isinstance(node, dict):
            kind, within = _struct(node)
            fields.append((attribute, kind, kind()))
            names[key] = attribute, within
        else:
            fields.append((attribute, node, ABSENT if node is _TIME else math.nan))
            names[key] = attribute, {}
    return msgspec.defstruct("Row", fields, rename=rename, gc=False, frozen=True), names


def _attribute(names: dict[str, Any], keys: Keys) -> str:
    path = []
    for key in keys:
        attribute, names = names[str(key)]
        path.append(attribute)
    return ".".join(path)
