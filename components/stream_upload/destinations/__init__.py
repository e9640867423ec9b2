"""Where records go beside S3 and Kinesis, one folder a type: one with a DESTINATION, here or among the plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeloop.plugins import Types
from stream_upload.destinations.base import Destination


class Registry(Types[Destination[Any]]):
    def __init__(self, on_failure: Callable[[str], None], outside: str = "") -> None:
        super().__init__("destination", __name__, "destinations", Destination, on_failure, outside)
