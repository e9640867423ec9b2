"""The limits of nucleus lite, each with what happens beyond it. Measured on 2.6.0 unless "read" is said."""

from __future__ import annotations

from typing import Any

from .rpc import Refused, encoder

MESSAGE_BYTES = 10_000
"""An IPC message without its prelude: the connection is closed. For a binary message to a local topic from the Python
SDK that is `4*ceil(n/3) + len(topic) <= 9741`."""
TOPIC_BYTES = 256
"""ServiceError."""
CONNECTIONS = 50
"""The connection is closed at once."""
SUBSCRIPTIONS = 99
"""Of all connections together: ServiceError."""
ACCESS_CONTROL_BYTES = 4096
"""Of one component (read): nothing is authorized."""
INTEGER = 10**18
"""In a JSON message: the publisher hears success, the subscriber's stream ends."""
SEND_SECONDS = 5.0
"""How long one subscriber that does not read holds up everybody, per message."""
MESSAGE_DEPTH = 12
LEAF_BYTES = 1024
KEYS = 99
CONFIGURATION_DEPTH = 13
KEY_PATH = 12

_PAIR, _ITEM, _ARENA, _ENVELOPE = 21, 11, 550, 3 * 21
_PUBLISH_ARENA = 2200


def complexity(value: Any) -> int:
    """What a decoded value takes of lite's object memory, in bytes: 21 per map entry, 11 per list element.

    >>> complexity({"v": [0] * 42}) == complexity({str(n): 0 for n in range(23)})
    True
    """
    total, todo = 0, [value]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            total += _PAIR * len(here)
            todo.extend(here.values())
        elif isinstance(here, list):
            total += _ITEM * len(here)
            todo.extend(here)
    return total


def depth(value: Any) -> int:
    """Nested maps and lists; 0 for a scalar."""
    deepest, todo = 0, [(value, 1)]
    while todo:
        here, level = todo.pop()
        if isinstance(here, dict | list):
            deepest = max(deepest, level)
            todo.extend((inner, level + 1) for inner in (here.values() if isinstance(here, dict) else here))
    return deepest


def is_poison(message: Any) -> bool:
    """Whether a JSON message is too complex to be delivered: the publisher hears success, nothing is delivered, and
    the subscription is dead without a word.

    >>> is_poison({str(n): n for n in range(23)}), is_poison({str(n): n for n in range(24)})
    (False, True)
    """
    return complexity(message) + _ENVELOPE > _ARENA or depth(message) > MESSAGE_DEPTH


def check_message(message: Any) -> None:
    """ServiceError for a JSON message too complex even to be taken (read)."""
    if complexity(message) + _ENVELOPE > _PUBLISH_ARENA:
        raise Refused("ServiceError", "Failed to publish the message.")


def has_large_integer(value: Any) -> bool:
    todo = [value]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            todo.extend(here.values())
        elif isinstance(here, list):
            todo.extend(here)
        elif isinstance(here, int) and abs(here) >= INTEGER:
            return True
    return False


def leaves(value: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The leaves of a configuration with their paths; a list and an empty map are leaves."""
    found: list[tuple[tuple[str, ...], Any]] = []
    todo: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while todo:
        path, here = todo.pop()
        if isinstance(here, dict) and here:
            todo.extend(((*path, key), inner) for key, inner in here.items())
        else:
            found.append((path, here))
    return found


def check_key_path(path: tuple[str, ...]) -> None:
    if len(path) > KEY_PATH:
        raise Refused("ServiceError", "Config path depth larger than supported.")


def check_update(path: tuple[str, ...], value: Any) -> None:
    """ServiceError for what lite cannot store: leaf over 1,024 bytes of JSON, over 99 keys, over 13 maps deep."""
    check_key_path(path)
    if depth(value) > CONFIGURATION_DEPTH or len(path) + depth(value) > CONFIGURATION_DEPTH + KEY_PATH:
        raise Refused("ServiceError", f"a value of more than {CONFIGURATION_DEPTH} maps")
    if keys(value) > KEYS:
        raise Refused("ServiceError", f"more than {KEYS} keys in one update")
    for leaf, content in leaves(value):
        size = len(encoder.encode(content))
        if size > LEAF_BYTES:
            where = ".".join((*path, *leaf))
            raise Refused("ServiceError", f"{where} is {size} bytes as JSON, {LEAF_BYTES} are allowed")


def keys(value: Any) -> int:
    """All keys of nested maps."""
    total, todo = 0, [value]
    while todo:
        here = todo.pop()
        if isinstance(here, dict):
            total += len(here)
            todo.extend(here.values())
    return total


def check_response(value: Any, size: int) -> None:
    """ServiceError for a configuration that lite could not send back."""
    if keys(value) > KEYS or size + 250 > MESSAGE_BYTES:
        raise Refused("ServiceError", f"the configuration has {keys(value)} keys in {size} bytes: too much to read")
