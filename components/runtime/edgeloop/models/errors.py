"""What stands between a model and its use."""

from __future__ import annotations

from edgeloop.errors import EdgeloopError


class ModelError(EdgeloopError):
    """A model cannot be used now: no file, no room, no runtime, a worker that is starting again. Worth another try."""


class ModelRefused(ModelError):
    """This package is no good, and trying again with the same bytes changes nothing."""
