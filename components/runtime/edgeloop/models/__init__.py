"""Models: packages, what runs them, the store that says which one is active."""

from edgeloop.models.errors import ModelError, ModelRefused
from edgeloop.models.package import Package

__all__ = ["ModelError", "ModelRefused", "Package"]
