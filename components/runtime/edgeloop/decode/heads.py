"""The structure of CBOR, looked at before anything is made of it.

cbor2's native decoder (5.9.0) writes beyond its buffers where a long text is announced and less than that comes: memory
is damaged, and the process dies some time later. It is only given items whose announced lengths are all there.
"""

from __future__ import annotations

from typing import Final

ITEMS: Final = 1 << 18
"""Values, keys and tags of one document: what Python walks in a tenth of a second or so."""
_INDEFINITE, _BREAK = 31, 0xFF
_LENGTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def fault(data: bytes, depth: int, text: int) -> str:
    """What is wrong with the first item's structure, "" where it is whole: every announced length is there, no more
    than `depth` lists, maps and tags are within each other, no string is longer than `text` bytes. Never recurses.

    >>> fault(bytes.fromhex("a1616101"), 32, 100), fault(bytes.fromhex("7b00ffffffffffffff61"), 32, 100)
    ('', 'a string is longer than the document')
    """
    at, size, items = 0, len(data), 0
    open_: list[int] = [1]
    """Items that each level still waits for; -1: until its break."""
    while open_:
        if open_[-1] == 0:
            open_.pop()
            continue
        if at >= size:
            return "it is cut off"
        head = data[at]
        at += 1
        if head == _BREAK:
            if open_[-1] != -1:
                return "a break stands where none belongs"
            open_.pop()
            continue
        items += 1
        if items > ITEMS:
            return f"more than {ITEMS} values"
        if open_[-1] > 0:
            open_[-1] -= 1
        kind, low = head >> 5, head & 31
        value = low
        if low in _LENGTHS:
            length = _LENGTHS[low]
            if at + length > size:
                return "it is cut off"
            value = int.from_bytes(data[at : at + length], "big")
            at += length
        elif 27 < low < _INDEFINITE or (low == _INDEFINITE and kind in (0, 1, 6)):
            return "a head of no known form"
        if kind in (2, 3):
            if low == _INDEFINITE:
                open_.append(-1)
            elif value > size - at:
                return "a string is longer than the document"
            elif value > text:
                return f"a text of {value} bytes, {text} at most"
            else:
                at += value
        elif kind in (4, 5):
            if low != _INDEFINITE and value > size - at:
                return "a list is longer than the document"
            open_.append(-1 if low == _INDEFINITE else value * (kind - 3))
        elif kind == 6:
            open_.append(1)
        if len(open_) > depth + 1:
            return f"more than {depth} levels"
    return ""
