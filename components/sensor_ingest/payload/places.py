"""Where in a document a value is: `data.temp`, `values.0`, or a JSON pointer (RFC 6901), `/data/temp`."""

from __future__ import annotations

from typing import Any, Final

ABSENT: Final = object()
Keys = tuple[str | int, ...]
WHOLE = "."
"""The document itself."""


def parse(text: str, first: int = 0) -> Keys:
    """Keys from the outside in. first: what the first item of a list is called. Raises ValueError.

    >>> parse("data.values.0"), parse("/a.b/0/c~1d"), parse("3", first=1), parse(".")
    (('data', 'values', 0), ('a.b', 0, 'c/d'), (2,), ())
    """
    if text == WHOLE:
        return ()
    if text.startswith("/"):
        parts = [p.replace("~1", "/").replace("~0", "~") for p in text[1:].split("/")]
    else:
        parts = text.split(".")
    keys = tuple(int(p) - first if p.isdecimal() and len(p) < 10 else p for p in parts)
    if "" in keys or any(isinstance(k, int) and k < 0 for k in keys):
        raise ValueError(f"{text!r} is no place, such as data.temp")
    return keys


def find(document: Any, keys: Keys) -> Any:
    """The value at a place, or ABSENT."""
    for key in keys:
        if isinstance(document, dict):
            document = document.get(key if isinstance(key, str) else str(key), ABSENT)
        elif isinstance(document, (list, tuple)) and isinstance(key, int) and key < len(document):
            document = document[key]
        else:
            return ABSENT
    return document


def leaves(document: Any, *, lists: bool, most: int) -> dict[Keys, Any]:
    """The single values of a document, at most `most`, in its order. lists: a list of numbers is one of them."""
    found: dict[Keys, Any] = {}
    waiting: list[tuple[Keys, Any]] = [((), document)]
    while waiting and len(found) < most:
        keys, value = waiting.pop()
        inner: list[tuple[Keys, Any]] | None = None
        if isinstance(value, dict):
            inner = [((*keys, key), v) for key, v in value.items()]
        elif isinstance(value, (list, tuple)) and not (lists and is_column(value)):
            if lists_of_maps(value):
                found[keys] = value
                continue
            inner = [((*keys, i), v) for i, v in enumerate(value[:most])]
        if inner is None:
            found[keys] = value
        else:
            waiting.extend(reversed(inner))
    return found


def is_column(value: Any) -> bool:
    """Whether a value is a list of single values, one for each sample."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(item is None or isinstance(item, (int, float)) for item in value)
    )


def lists_of_maps(value: Any) -> bool:
    """Whether a value is a list whose items have names of their own: their places say nothing."""
    return isinstance(value, (list, tuple)) and len(value) > 0 and any(isinstance(item, dict) for item in value)
