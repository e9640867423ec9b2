"""A column of some rows, as a file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeloop.tables.numerals import BOOLEANS, MISSING, PLAIN, SPACES, Style

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Cells(Protocol):
    """Texts of n rows, without blanks around."""

    def __len__(self) -> int: ...

    def plain(self) -> tuple[Floats, Mask]:
        """Numbers with a point or none, NaN where there is none; and cells that are neither these nor missing."""
        ...

    def styled(self, style: Style) -> tuple[Floats, Mask]:
        """As `plain`, of numbers as they are written in another style."""
        ...

    def texts(self, rows: NDArray[np.int64] | slice) -> list[str]: ...

    def encoded(self) -> NDArray[np.bytes_]:
        """(n,) UTF-8."""
        ...


class Listed:
    """Of a list of texts."""

    def __init__(self, cells: Sequence[str]) -> None:
        self._cells = cells

    def __len__(self) -> int:
        return len(self._cells)

    def plain(self) -> tuple[Floats, Mask]:
        values, odd = np.full(len(self._cells), np.nan), np.zeros(len(self._cells), bool)
        for i, cell in enumerate(self._cells):
            try:
                values[i] = float(cell)
                if "_" in cell or not cell.isascii():
                    raise ValueError
            except ValueError:
                values[i] = np.nan
                odd[i] = cell.strip().lower() not in MISSING
        return values, odd

    def styled(self, style: Style) -> tuple[Floats, Mask]:
        values, odd = np.full(len(self._cells), np.nan), np.zeros(len(self._cells), bool)
        for i, cell in enumerate(self._cells):
            value = style.read(cell.strip().translate(SPACES))
            if value is not None:
                values[i] = value
            else:
                odd[i] = cell.strip().lower() not in MISSING
        return values, odd

    def texts(self, rows: NDArray[np.int64] | slice) -> list[str]:
        if isinstance(rows, slice):
            return [cell.strip() for cell in self._cells[rows]]
        return [self._cells[i].strip() for i in rows.tolist()]

    def encoded(self) -> NDArray[np.bytes_]:
        return np.array([cell.strip().encode()[:80] for cell in self._cells], dtype=np.bytes_)


class Arrow:
    """Of an array of strings of pyarrow."""

    def __init__(self, array: Any, pc: Any, pa: Any) -> None:
        self._array, self._pc, self._pa = array, pc, pa

    def __len__(self) -> int:
        return len(self._array)

    def _cast(self, array: Any) -> Floats:
        return np.asarray(self._pc.cast(array, self._pa.float64()).to_numpy(zero_copy_only=False), np.float64)

    def plain(self) -> tuple[Floats, Mask]:
        try:
            return self._cast(self._array), np.zeros(len(self), bool)
        except self._pa.ArrowInvalid:
            return self._matched(self._trimmed(), f"^(?:{PLAIN.pattern})$")

    def styled(self, style: Style) -> tuple[Floats, Mask]:
        texts = self._trimmed()
        if style.thousands in (" ", "'"):
            texts = self._array_of([cell.translate(SPACES) if cell else "" for cell in texts.to_pylist()])
        return self._matched(texts, style.pattern, style)

    def _trimmed(self) -> Any:
        return self._pc.utf8_trim_whitespace(self._array)

    def _array_of(self, cells: list[str]) -> Any:
        return self._pa.array(cells, self._pa.string())

    def _matched(self, texts: Any, pattern: str, style: Style | None = None) -> tuple[Floats, Mask]:
        pc = self._pc
        good = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
        numbers = pc.if_else(good, texts, self._pa.scalar(None, self._pa.string()))
        if style is not None and style.thousands:
            numbers = pc.replace_substring(numbers, style.thousands, "")
        if style is not None and style.decimal != ".":
            numbers = pc.replace_substring(numbers, style.decimal, ".")
        numbers = pc.utf8_ltrim(numbers, characters="+")
        values = self._cast(numbers)
        mask = good.to_numpy(zero_copy_only=False).astype(bool)
        if mask.all():
            return values, np.zeros(len(self), bool)
        rows = np.flatnonzero(~mask)
        there = [
            cell is not None and cell.lower() not in MISSING for cell in texts.take(self._pa.array(rows)).to_pylist()
        ]
        odd = np.zeros(len(self), bool)
        odd[rows] = there
        return values, odd

    def texts(self, rows: NDArray[np.int64] | slice) -> list[str]:
        part = self._array[rows] if isinstance(rows, slice) else self._array.take(self._pa.array(rows))
        return [(cell or "").strip() for cell in part.to_pylist()]

    def encoded(self) -> NDArray[np.bytes_]:
        texts = self._pc.fill_null(self._pc.utf8_trim_whitespace(self._array), "")
        width = max(1, self._pc.max(self._pc.binary_length(texts)).as_py() or 1)
        if width > 80:
            texts = self._pc.binary_slice(texts.cast(self._pa.binary()), 0, 80)
            width = 80
        texts = texts.cast(self._pa.binary())
        whole = self._pc.binary_length(texts)
        if self._pc.min(whole).as_py() == width:
            start = texts.offset
            offsets = np.frombuffer(texts.buffers()[1], np.int32)[start : start + len(texts) + 1]
            data = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
            return data.view(f"S{width}")
        return np.array(texts.to_pylist(), dtype=f"S{width}")


def boolean(text: str) -> float | None:
    """
    >>> boolean("True"), boolean("on")
    (1.0, 1.0)
    """
    return BOOLEANS.get(text.lower())


def is_number(text: str) -> bool:
    """Of any style.

    >>> [is_number(t) for t in ("1.5", "1.234,5", "", "Bad", "1e3")]
    [True, True, False, False, True]
    """
    text = text.strip().translate(SPACES)
    return bool(PLAIN.fullmatch(text)) or any(one.read(text) is not None for one in _STYLES)


_STYLES = (Style(",", "."), Style(".", ","), Style(",", " "), Style(".", " "), Style(".", "'"), Style(",", "'"))
