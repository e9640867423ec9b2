"""The forms of files that a table can have."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from edgeloop.errors import EdgeloopError
from edgeloop.tables.chunk import File
from edgeloop.tables.options import Options
from edgeloop.tables.text import TextFile

COLUMNAR = (".parquet", ".pq", ".feather", ".arrow", ".ipc")
WORKBOOKS = (".xlsx", ".xlsm")
RECORDERS = (".tdms", ".wav", ".flac", ".mat")
TEXTS = (".csv", ".tsv", ".txt", ".dat", ".asc", ".log")
FORMS = (*TEXTS, *COLUMNAR, *WORKBOOKS, *RECORDERS)
"""Endings of names."""


def opened(path: Path, options: Options) -> File:
    """By the ending of its name; text where that is unknown. Raises EdgeloopError."""
    ending = path.suffix.lower()
    if ending in COLUMNAR:
        from edgeloop.tables.columnar import ColumnarFile

        return ColumnarFile(path)
    if ending in WORKBOOKS:
        book: File = _tools("workbook", path).Workbook(path, options)
        return book
    if ending in RECORDERS:
        recorded: File = _tools("recorders", path).recording(path)
        return recorded
    return TextFile(path, options)


def _tools(module: str, path: Path) -> Any:
    """What a device does not have."""
    try:
        return importlib.import_module(f"edgeloop.tables.{module}")
    except ModuleNotFoundError:
        raise EdgeloopError("only the tools read such a file", where=str(path), why=f"it is {path.suffix}",
                            mend="write it as CSV, or as Parquet (profile upload)") from None  # fmt: skip
