"""All models that are configured, one after the other, on one thread."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import ModelError
from edgeloop.models.proof import Prover
from model_update.configuration import Configuration, Model
from model_update.delivery import FIRST_PAUSE, Delivery

_PATIENCE: Final = 5.0


class Updates:
    """A model that fails does not stop the others. Leaving the `with` block ends a trial that is under way."""

    def __init__(
        self, root: Path, work: Path, publish: Callable[[str, bytes], object], health: Health, log: Log
    ) -> None:
        self._root, self._work, self._publish, self._health, self._log = root, work, publish, health, log
        self._configuration = Configuration()
        self._deliveries: dict[str, Delivery] = {}
        self._due: dict[str, float] = {}
        self._prover = Prover()
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="models", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._prover.cancel()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def start(self, configuration: Configuration) -> None:
        self.apply(configuration)
        self._thread.start()

    def apply(self, configuration: Configuration) -> None:
        """A new desired state; what fails is tried again at once."""
        self._configuration = configuration
        self._changed.set()

    def advance(self) -> float | None:
        """One round over all models; seconds until the next, None where nothing is left to do."""
        configuration = self._configuration
        for name in set(self._deliveries) - set(configuration.models):
            self._health.clear(f"model.{name}")
            del self._deliveries[name]
            self._due.pop(name, None)
        for name, model in configuration.models.items():
            if self._stopped.is_set():
                return None
            if self._due.get(name, 0.0) <= time.monotonic():
                wait = self._one(name, model, configuration)
                self._due[name] = math.inf if wait is None else time.monotonic() + wait
        soonest = min((self._due[name] for name in configuration.models), default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - time.monotonic())

    def _one(self, name: str, model: Model, configuration: Configuration) -> float | None:
        delivery = self._deliveries.get(name)
        if delivery is None:
            try:
                delivery = Delivery(
                    name,
                    self._root,
                    self._work,
                    self._publish,
                    self._health,
                    self._log,
                    self._prover,
                    self._stopped.is_set,
                )
            except ModelError as error:
                self._health.problem(f"model.{name}", str(error))
                return FIRST_PAUSE
            self._deliveries[name] = delivery
        return delivery.advance(model, configuration)

    def _run(self) -> None:
        wait: float | None = None
        while not self._stopped.is_set():
            if self._changed.wait(wait):
                self._changed.clear()
                self._due.clear()
            wait = self.advance()
