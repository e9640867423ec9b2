"""Which topics a filter takes, which resources a policy grants."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Nucleus = Literal["classic", "lite"]


def is_wildcard(topic_filter: str) -> bool:
    """Whether `+` or a last `#` takes a whole level.

    >>> is_wildcard("a/+/b"), is_wildcard("a/#"), is_wildcard("a/b+")
    (True, True, False)
    """
    levels = topic_filter.split("/")
    return "+" in levels or levels[-1] == "#"


@lru_cache(4096)
def topic_pattern(topic_filter: str, *, parent: bool) -> re.Pattern[str]:
    """A filter as a regular expression for `fullmatch`.

    `parent`: `a/#` takes `a` too, and a leading wildcard takes no topic that begins with `$` (MQTT 3.1.1, §4.7);
    the classic nucleus's local topics do neither.

    >>> bool(topic_pattern("a/#", parent=True).fullmatch("a")), bool(topic_pattern("a/#", parent=False).fullmatch("a"))
    (True, False)
    """
    levels = topic_filter.split("/")
    parts: list[str] = []
    for number, level in enumerate(levels):
        slash = "/" if number else ""
        if level == "#" and number == len(levels) - 1:
            parts.append(f"(?:{slash}.*)?" if parent and number else f"{slash}.*")
        else:
            parts.append(slash + ("[^/]*" if level == "+" else re.escape(level)))
    guard = r"(?!\$)" if parent and levels[0] in ("+", "#") else ""
    return re.compile(guard + "".join(parts), re.DOTALL)


@lru_cache(4096)
def resource_pattern(resource: str, *, mqtt: bool, nucleus: Nucleus) -> re.Pattern[str] | None:
    """A policy's resource as a regular expression for `fullmatch`; None if the nucleus would refuse the resource.

    `*` takes any run of characters, `${*}` is a literal star; `mqtt`: `+` and `#` are wildcards (the IoT Core proxy).

    >>> bool(resource_pattern("a/*/c", mqtt=False, nucleus="lite").fullmatch("a/b/x/c"))
    True
    >>> resource_pattern("a/?", mqtt=False, nucleus="classic") is None
    True
    """
    parts: list[str] = []
    position = 0
    while position < len(resource):
        character = resource[position]
        if resource.startswith("${", position):
            end = resource.find("}", position)
            escaped = resource[position + 2 : end] if end > 0 else ""
            if escaped not in ("*", "$", "?"):
                return None
            parts.append(re.escape(escaped))
            position = end + 1
            continue
        if character == "?":
            return None
        rest = resource[position + 1 :]
        starts = not position or resource[position - 1] == "/"
        if character == "*":
            parts.append(".*")
        elif mqtt and character == "#" and (nucleus == "lite" or (starts and not rest)):
            if nucleus == "classic" and position:
                parts[-1] = "(?:/.*)?"
            else:
                parts.append(".*")
            if nucleus == "lite":
                break
        elif mqtt and character == "+" and (nucleus == "lite" or (starts and rest[:1] in ("", "/"))):
            parts.append("[^/]*")
        else:
            parts.append(re.escape(character))
        position += 1
    return re.compile("".join(parts), re.DOTALL)
