"""Component recipes, read and judged as a nucleus does."""

from edgeloop_tools.core.recipes.errors import RecipeError
from edgeloop_tools.core.recipes.model import (
    Artifact,
    DependencyType,
    Lifecycle,
    Manifest,
    Recipe,
    RecipeDependency,
    Skip,
    Step,
)
from edgeloop_tools.core.recipes.parse import parse, read
from edgeloop_tools.core.recipes.versions import Requirement, Version

__all__ = [
    "Artifact",
    "DependencyType",
    "Lifecycle",
    "Manifest",
    "Recipe",
    "RecipeDependency",
    "RecipeError",
    "Requirement",
    "Skip",
    "Step",
    "Version",
    "parse",
    "read",
]
