"""Whether what was learned was learned with the settings of today, whichever version wrote it."""

from __future__ import annotations

import ast
import dataclasses
import json
from typing import Any

from edgeloop import decode


def text(settings: Any) -> str:
    """The fields of a data class of settings, by name.

    >>> from edgeloop.detect.events.settings import EventSettings
    >>> text(EventSettings(step=1.0))[:15]
    '{"schema": 2, "'
    """
    return json.dumps({"schema": 2, **_fields(settings)})


def same(kept: str, settings: Any) -> bool:
    """Fields that a version before did not know count as equal where they have their default; fields that are no more
    do not count. Release 0.1 kept the data class as Python shows it.

    >>> from edgeloop.detect.events.settings import EventSettings
    >>> now = EventSettings(step=1.0)
    >>> same(repr(now), now), same(text(now), now), same("EventSettings(step=1.0)", now)
    (True, True, True)
    >>> same("EventSettings(step=2.0)", now), same("", now)
    (False, False)
    """
    known = _known(kept)
    if known is None:
        return False
    mine = _fields(settings)
    defaults = {f.name: _plain(f.default) for f in dataclasses.fields(settings) if f.default is not dataclasses.MISSING}
    return all(value == (known[name] if name in known else defaults.get(name)) for name, value in mine.items())


def _known(kept: str) -> dict[str, Any] | None:
    try:
        if kept.startswith("{"):
            return decode.document(kept.encode(), dict[str, Any])
        call = ast.parse(kept, mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        return {k.arg: _plain(_value(k.value)) for k in call.keywords if k.arg}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    """A constant, also one that numpy shows: np.float64(0.5)."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        return ast.literal_eval(node.args[0])
    return ast.literal_eval(node)


def _fields(settings: Any) -> dict[str, Any]:
    """Those that bear on what is learned: a field that is not shown does not."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings) if field.repr}


def _plain(value: Any) -> Any:
    """As it is after a way through JSON."""
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    return float(value)
