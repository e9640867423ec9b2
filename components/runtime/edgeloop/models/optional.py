"""Packages that run models and not every profile of the Runtime installs."""

from __future__ import annotations

from typing import Any

from edgeloop import optional
from edgeloop.errors import EdgeloopError
from edgeloop.models.errors import ModelError


def load(module: str, purpose: str) -> Any:
    """As `edgeloop.optional.load`. Raises ModelError."""
    try:
        return optional.load(module, purpose)
    except EdgeloopError as error:
        raise ModelError(error.what, why=error.why, mend=error.mend) from error
