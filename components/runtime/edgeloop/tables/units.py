"""Units as tables name them: in brackets behind a name, or in a row of their own."""

from __future__ import annotations

import re

_BRACKETS = re.compile(r".*?[\[(]\s*([^\])]{1,16})\s*[\])]\s*|.*?\s/\s*(\S{1,12})")


def unit_of(said: str, name: str) -> str:
    """UCUM; 1 where nothing is known.

    >>> unit_of("°C", "temp"), unit_of("", "Druck [bar]"), unit_of("-", "label"), unit_of("", "a (b c)")
    ('Cel', 'bar', '1', '1')
    """
    from edgeloop.config.units import meant

    if said:
        return meant(said.strip("[]() ")) or "1"
    match = _BRACKETS.fullmatch(name)
    return (meant(match[1] or match[2]) if match else None) or "1"
