"""The forms of files that a table can have."""

from __future__ import annotations

from pathlib import Path

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
        from edgeloop.tables.workbook import Workbook

        return Workbook(path, options)
    if ending in RECORDERS:
        from edgeloop.tables.recorders import recording

        return recording(path)
    return TextFile(path, options)
