"""The kinds of sources, one folder each: a folder with a SOURCE is a type, here or among the line's plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeloop.plugins import Types
from sensor_ingest.sources.base import Source


class Registry(Types[Source[Any]]):
    def __init__(self, on_failure: Callable[[str], None], package: str = __name__, outside: str = "") -> None:
        super().__init__("source", package, "sources", Source, on_failure, outside)
