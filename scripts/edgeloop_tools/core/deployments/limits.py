"""What a deployment to nucleus lite may carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgeloop_tools.core.control import ControlError

COMPONENTS = 10
LEAF = 1024
KEYS = 99
DEPTH = 13


def check(components: Mapping[str, str], merge: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ControlError for what lite would refuse."""
    if len(components) > COMPONENTS:
        raise _refused("components", f"{len(components)} at once, and it takes {COMPONENTS}", "deploy in two steps")
    for name, configuration in merge.items():
        keys = _walk(configuration, name, 1)
        if keys > KEYS:
            raise _refused(name, f"{keys} keys in one update, and it takes {KEYS}", "merge in two steps")


def _walk(value: Any, where: str, depth: int) -> int:
    if not isinstance(value, Mapping):
        size = len(json.dumps(value, separators=(",", ":")).encode())
        if size > LEAF:
            raise _refused(where, f"a value of {size} bytes, and it takes {LEAF}", "split it into a map")
        return 0
    if depth > DEPTH:
        raise _refused(where, f"more than {DEPTH} maps inside each other", "flatten it")
    return sum(1 + _walk(entry, f"{where}.{key}", depth + 1) for key, entry in value.items())


def _refused(where: str, why: str, mend: str) -> ControlError:
    return ControlError("nucleus lite refuses the configuration", where=where, why=why, mend=mend, code="invalid")
