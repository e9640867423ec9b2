"""What a payload can be blamed for."""

from __future__ import annotations


class BadPayload(ValueError):
    """A message or line that is dropped; the text says why."""
