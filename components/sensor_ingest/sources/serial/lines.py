"""Bytes as they come to whole lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgeloop.clock import NS

LONGEST = 4096
"""Bytes of a line."""
QUIET = NS // 2
"""ns of silence after which what comes begins a line."""
_END = re.compile(rb"[\r\n\0]+")


class Lines:
    """Lines end with CR, LF or both; empty ones are left out. The first may be half of one, and is left out as well,
    unless the line was quiet before it.

    >>> lines = Lines()
    >>> [list(lines.take(part, at)) for part, at in ((b"5;1\\n2;", 1), (b"3\\r\\n4", 2), (b";5\\n", 3))]
    [[], [b'2;3'], [b'4;5']]
    """

    def __init__(self) -> None:
        self.lost = 0
        """Bytes that were dropped because no end of line came."""
        self._held = b""
        self._whole = False
        self._opened = 0

    def begin(self, now: int) -> None:
        """The port is open since now (ns)."""
        self._opened = now

    def take(self, content: bytes, now: int) -> Iterator[bytes]:
        """Whole lines. now: ns, when the content came."""
        if not self._whole and not self._held and self._opened and now - self._opened >= QUIET:
            self._whole = True
        *lines, self._held = _END.split(self._held + content)
        for line in lines:
            if not self._whole:
                self._whole = True
            elif len(line) > LONGEST:
                self.lost += len(line)
            elif line:
                yield line
        if len(self._held) > LONGEST:
            self.lost += len(self._held)
            self._held, self._whole = b"", False
            self._opened = 0
