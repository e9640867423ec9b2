"""Bytes as they come to whole lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgeloop.clock import NS

LONGEST = 4096
"""Bytes of a line."""
QUIET = NS // 2
"""ns of silence after which what comes begins a line."""
STUCK = 5 * NS
"""ns after which bytes that make no line are a problem."""
NAMES = {
    "cr": b"\r", "lf": b"\n", "crlf": b"\r\n", "nul": b"\0", "stx": b"\2", "etx": b"\3", "eot": b"\4", "ack": b"\6",
    "rs": b"\x1e", "tab": b"\t", "space": b" ",
}  # fmt: skip
_SUMMED = re.compile(rb"([$!])([^*]*)\*([0-9A-Fa-f]{2})\s*", re.DOTALL)
_END = re.compile(rb"[\r\n\0]+")


def mark(text: str) -> bytes:
    r"""Of `ETX`, `0x03`, `;` or `\r\n`. Raises ValueError.

    >>> mark("ETX"), mark("0x0d0a"), mark(";"), mark("\\r")
    (b'\x03', b'\r\n', b';', b'\r')
    """
    if text.lower() in NAMES:
        return NAMES[text.lower()]
    if re.fullmatch(r"0[xX](?:[0-9a-fA-F]{2})+", text):
        return bytes.fromhex(text[2:])
    try:
        found = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except (UnicodeDecodeError, UnicodeEncodeError):
        found = b""
    if not 0 < len(found) <= 8 or text[:2].lower() == "0x":
        raise ValueError(f"{text!r} is no mark, such as ETX, 0x03 or ;")
    return found


def checked(line: bytes) -> bytes | None:
    """A line without the checksum behind it, where it has one as NMEA 0183 has; None where that is wrong.

    >>> checked(b"$GPGLL,4916.45,N,12311.12,W,225444,A,*1D"), checked(b"$GPGLL,4916.46,N,12311.12,W,225444,A,*1D")
    (b'$GPGLL,4916.45,N,12311.12,W,225444,A,', None)
    >>> checked(b"21.5*2")
    b'21.5*2'
    """
    match = _SUMMED.fullmatch(line)
    if match is None:
        return line
    found = 0
    for octet in match[2]:
        found ^= octet
    return match[1] + match[2] if found == int(match[3], 16) else None


class Lines:
    """Lines end with CR, LF or both, or with `end`, or after `length` bytes; what is before `start` is left out. Empty
    ones are left out. The first may be half of one, and is left out as well, unless the line was quiet before it. By
    length alone, what comes after half a second of quiet begins one.

    >>> lines = Lines()
    >>> [list(lines.take(part, at)) for part, at in ((b"5;1\\n2;", 1), (b"3\\r\\n4", 2), (b";5\\n", 3))]
    [[], [b'2;3'], [b'4;5']]
    >>> lines = Lines(start=b"\\2", end=b"\\3")
    >>> [list(lines.take(part, 1)) for part in (b"9\\3\\0021", b"2.5\\3\\2", b"12.6\\3")]
    [[], [b'12.5'], [b'12.6']]
    """

    def __init__(self, start: bytes = b"", end: bytes = b"", length: int = 0) -> None:
        self.lost = 0
        """Bytes that were dropped because no end of line came."""
        self._start, self._length = start, length
        self._end = re.compile(re.escape(end)) if end else _END
        self._held = b""
        self._whole = False
        self._opened = 0
        self._since = 0
        self._last = 0

    def begin(self, now: int) -> None:
        """The port is open since now (ns)."""
        self._opened = self._since = now

    def stuck(self, now: int) -> int:
        """Bytes that came and made no line for long; 0: none, or not long."""
        return len(self._held) if self._held and now - self._since > STUCK else 0

    def take(self, content: bytes, now: int) -> Iterator[bytes]:
        """Whole lines. now: ns, when the content came."""
        if self._length and not self._start:
            if self._held and now - self._last >= QUIET:
                self.lost += len(self._held)
                self._held = b""
            self._last = now
        if not self._whole and not self._held and self._opened and now - self._opened >= QUIET:
            self._whole = True
        for line in self._cut(content):
            self._since = now
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

    def _cut(self, content: bytes) -> list[bytes]:
        held = self._held + content
        if self._length:
            lines = []
            while True:
                at = held.find(self._start) if self._start else 0
                if at < 0 or len(held) - at < self._length:
                    break
                lines.append(held[at : at + self._length])
                held = held[at + self._length :]
            self._held, self._whole = held, self._whole or bool(self._start)
            return lines
        *lines, self._held = self._end.split(held)
        if self._start:
            self._whole = True
            lines = [line.rpartition(self._start)[2] for line in lines if self._start in line]
        return lines
