"""What an operator asks for: a version that serves until the configuration next changes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.identifiers import Id
from edgeloop.models.manifest import Digest, Version

ROLE = "engineer"
"""Who may."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """On `edgeloop/commands/models`. by: a person's name, for the record."""

    command: Literal["hold", "release"]
    name: Id
    version: Annotated[str, Meta(max_length=64)] = ""
    by: Annotated[str, Meta(min_length=1, max_length=64)]
    role: Annotated[str, Meta(max_length=32)]


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """time: ns UTC. wish: digest of the configuration that it stands against; another one ends it."""

    version: Version
    digest: Digest
    by: str
    time: int
    wish: str
