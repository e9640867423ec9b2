"""What the fleet is told of each model: a record of kind `models` on change and once a day."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from edgeloop import clock
from edgeloop.documents import encode
from edgeloop.models.store import Pointer
from model_update.progress import Progress

KIND: Final = "models"
DAY: Final = 86_400.0

Append = Callable[[str, bytes], object]
"""kind, record: `UploadQueue.append`."""


class Teller:
    """Of one model. The same thing is said once, and again after a day."""

    def __init__(self, append: Append, name: str) -> None:
        self._append, self._name = append, name
        self._said: dict[str, Any] = {}
        self._due = 0.0

    def tell(
        self, pointer: Pointer | None, progress: Progress, desired: str, key: str, why: str, variant: str = ""
    ) -> None:
        """desired: digest wanted, or "". key: id of the one that signed what is active. why: of the last change.
        variant: path of the one in use."""
        active = pointer.active if pointer else None
        hold = progress.hold
        document: dict[str, Any] = {
            "schema": 1, "name": self._name, "desired": desired, "step": progress.step,
            "active": msgspec.to_builtins(active), "state": pointer.state if pointer else "",
            "since": pointer.since if pointer else 0, "generation": pointer.generation if pointer else 0,
            "highest": pointer.highest if pointer else "", "key": key, "why": why,
            "variant": variant, "by": progress.by,
            "held": f"{hold.version} by {hold.by}" if hold else "",
        }  # fmt: skip
        if document == self._said and time.monotonic() < self._due:
            return
        self._append(KIND, encode({"time": clock.now(), **document}))
        self._said, self._due = document, time.monotonic() + DAY
