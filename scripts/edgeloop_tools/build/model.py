"""What comes along with a component: default models, packages that training made and that are committed beside it, and
networks of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeloop.config.declaration import Declaration
from edgeloop.errors import EdgeloopError
from edgeloop_tools.build.components import MODELS

LIMIT = 500_000
"""Bytes of one package."""
VENDORED_LIMIT = 3_000_000
"""Bytes of one network of others."""


def along(declaration: Declaration[Any]) -> dict[str, tuple[bytes, int]]:
    """Artifacts beside the zip application, by file name, with the bytes that each may have. Raises EdgeloopError."""
    found = {f"{name}.tar": (read(name), LIMIT) for name in declaration.models}
    for name in declaration.vendored:
        where = MODELS / name / "vendored" / f"{name}.onnx"
        try:
            found[where.name] = (where.read_bytes(), VENDORED_LIMIT)
        except OSError as error:
            raise EdgeloopError("no such network", where=str(where), why=error.strerror or str(error),
                                mend=f"run components/models/{name}/make.py") from error  # fmt: skip
    return found


def names(declaration: Declaration[Any]) -> list[str]:
    """Of the same files."""
    return [*(f"{name}.tar" for name in declaration.models), *(f"{name}.onnx" for name in declaration.vendored)]


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
