"""What is wrong with a recipe, as one line."""

from __future__ import annotations

from edgeloop.errors import EdgeloopError


class RecipeError(EdgeloopError):
    """`where` names the file and the field."""
