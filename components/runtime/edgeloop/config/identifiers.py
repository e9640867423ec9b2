"""Names of sites, and identifiers of assets, sources, monitors and rules: the keys of every configured collection."""

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

SITE: Final = r"^(?!.*\.\.)[^\x00-/:-@\[-`{-\xa0\u2000-\u206f][^\x00-\x1f!-+/;-@\[-^`{-\xa0\u2000-\u206f]{0,63}$"

_ALLOWED = "letters, digits, blanks and , . : _ -"
Site = Annotated[
    str,
    Meta(
        title="Site",
        description=f"name of the site, in results and uploads: {_ALLOWED}",
        pattern=SITE,
        extra={"allowed": f"{_ALLOWED} are allowed, a letter or digit first, 64 at most, no .."},
    ),
]
"""Kept as people write it in results; in keys what is no letter, digit, `.`, `:`, `_` or `-` becomes `-`."""

_MATCH = re.compile(PATTERN.removesuffix("$")).fullmatch


def is_id(text: str) -> bool:
    """
    >>> is_id("press1_vib"), is_id("Press 1")
    (True, False)
    """
    return _MATCH(text) is not None
