"""Identifiers of sites, assets, sources, monitors and rules: the keys of every configured collection."""

from __future__ import annotations

import re
from typing import Annotated, Final

from msgspec import Meta

PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,31}$"

Id = Annotated[
    str,
    Meta(
        title="Identifier",
        description="lower-case letters, digits, _ and -; starts with a letter or digit; at most 32 characters",
        pattern=PATTERN,
    ),
]

_MATCH = re.compile(PATTERN).match


def is_id(text: str) -> bool:
    """
    >>> is_id("press1_vib"), is_id("Press 1")
    (True, False)
    """
    return _MATCH(text) is not None
