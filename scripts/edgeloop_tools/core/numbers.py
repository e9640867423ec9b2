"""What the classic nucleus makes of numbers in JSON."""

from __future__ import annotations

from typing import Any


def doubles(value: Any) -> Any:
    """All numbers as doubles, in messages and in merged configuration; recipes' defaults keep theirs.

    >>> doubles({"n": 3, "on": True, "list": [1, "2"], "time": 1764360000123456789})
    {'n': 3.0, 'on': True, 'list': [1.0, '2'], 'time': 1.7643600001234568e+18}
    """
    if isinstance(value, dict):
        return {key: doubles(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [doubles(inner) for inner in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
