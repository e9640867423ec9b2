"""Default models: packages that training made and that are committed beside it."""

from __future__ import annotations

from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import MODELS

LIMIT = 500_000
"""Bytes of one package."""


def path(name: str) -> Path:
    return MODELS / name / f"{name}.tar"


def read(name: str) -> bytes:
    """The package. Raises EdgeloopError where there is none, and above LIMIT."""
    where = path(name)
    try:
        data = where.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        mend = f"run components/models/{name}/train.py"
        raise EdgeloopError("no default model", where=str(where), why=why, mend=mend) from error
    if len(data) > LIMIT:
        why = f"{len(data):,} B of at most {LIMIT:,}"
        raise EdgeloopError("the default model is too large", where=str(where), why=why)
    return data
