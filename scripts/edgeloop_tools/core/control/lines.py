"""The bytes of a control message."""

from __future__ import annotations

import json
from typing import Any

from edgeloop_tools.core.control.errors import ControlError

LINE_LIMIT = 8 * 1024 * 1024
"""Bytes of the longest message."""


def encode(message: dict[str, Any]) -> bytes:
    """
    >>> encode({"event": "up", "params": {}})
    b'{"event":"up","params":{}}\\n'
    """
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Raises ControlError where the line is no JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ControlError("a control message is no JSON", why=str(error), code="protocol") from None
    if not isinstance(message, dict):
        raise ControlError("a control message is no JSON object", why=repr(message)[:80], code="protocol")
    return message
