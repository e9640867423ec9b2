"""All models that are configured, one after the other, on one thread."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

from edgeloop.decode import document
from edgeloop.errors import DecodeError
from edgeloop.health import Health
from edgeloop.log import Log
from edgeloop.models import ModelError
from edgeloop.models.proof import Prover
from model_update.configuration import Configuration, Model
from model_update.delivery import FIRST_PAUSE, Delivery
from model_update.fleet import DAY, Append
from model_update.hold import ROLE, Command
from model_update.taught import Kind, Lessons, Teaching
from model_update.wishes import Wanted, Wishes

_PATIENCE: Final = 5.0
TAUGHT: Final = "taught here"
_LOOK: Final = 15.0
"""Seconds between two looks at what model components want."""


class Updates:
    """A model that fails does not stop the others. Leaving the `with` block ends a trial that is under way."""

    def __init__(
        self,
        root: Path,
        work: Path,
        publish: Callable[[str, bytes], object],
        health: Health,
        log: Log,
        append: Append = lambda kind, record: None,
        credentials: Callable[[], object] = lambda: None,
    ) -> None:
        self._credentials = credentials
        self._root, self._work, self._publish, self._health, self._log = root, work, publish, health, log
        self._append = append
        self._configuration = Configuration()
        self._lessons = Lessons(root, work)
        self._health.set("taught.file", self._lessons.damage or None)
        self._deliveries: dict[str, Delivery] = {}
        self._due: dict[str, float] = {}
        self._looked = time.monotonic()
        self._prover = Prover()
        self._changed, self._stopped = threading.Event(), threading.Event()
        self._wishes = Wishes(root, work, self._health.set, self._changed.set)
        self._commands: deque[Command] = deque(maxlen=64)
        self._teachings: deque[Teaching] = deque(maxlen=64)
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

    def command(self, topic: str, payload: bytes) -> None:
        """A hold or its end, or what this device was taught: the handler of the models' commands."""
        try:
            if document(payload, Kind).command == "taught":
                self._teachings.append(document(payload, Teaching))
                self._changed.set()
                return
            command = document(payload, Command)
        except DecodeError as error:
            self._log.warning("a command about models is not valid: %s", error)
            return
        if command.role != ROLE:
            who, name = command.by, command.name
            self._log.warning("%s may not hold model %s: it takes the role %s", who, name, ROLE, role=command.role)
            return
        self._commands.append(command)
        self._changed.set()

    @property
    def wishes(self) -> Wishes:
        """What others than the configuration want."""
        return self._wishes

    def advance(self) -> float | None:
        """One round over all models; seconds until the next, None where nothing is left to do."""
        taught = self._taught()
        configuration = self._configuration
        wanted = self._wishes.all(configuration) | {name: Wanted(model, TAUGHT) for name, model in taught.items()}
        for name in set(self._deliveries) - set(wanted):
            self._health.clear(f"model.{name}")
            self._health.clear(f"model.{name}.hold")
            self._health.clear(f"model.{name}.keys")
            del self._deliveries[name]
            self._due.pop(name, None)
        self._order(wanted)
        for name, wish in wanted.items():
            if self._stopped.is_set():
                return None
            if self._due.get(name, 0.0) <= time.monotonic():
                wait = self._one(name, wish, configuration)
                self._due[name] = math.inf if wait is None else time.monotonic() + wait
        soonest = min((self._due[name] for name in wanted), default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - time.monotonic())

    def _daily(self) -> None:
        """Looks at every model once a day, so that the fleet is told."""
        if time.monotonic() - self._looked > DAY:
            self._looked = time.monotonic()
            self._due.clear()

    def _taught(self) -> dict[str, Model]:
        """What this device was taught and is wanted, with what has been taught since the last round."""
        while self._teachings:
            command = self._teachings.popleft()
            key = f"model.{command.name}.taught"
            try:
                reason = self._lessons.take(command, self._configuration)
            except OSError as error:
                reason = f"it cannot be kept: {error}"
            line = f"{command.name} {command.version}, which this device was taught, is not taken: {reason}"
            self._health.set(key, line if reason else None)
            if not reason:
                self._log.info("taught", model=command.name, version=command.version, by=command.by)
        return self._lessons.desired(self._configuration)

    def _order(self, wanted: Mapping[str, Wanted]) -> None:
        """What operators asked for since the last round."""
        while self._commands:
            command = self._commands.popleft()
            key, wish = f"model.{command.name}.hold", wanted.get(command.name)
            if wish is None:
                self._log.warning("there is no model %s to hold", command.name, by=command.by)
                continue
            try:
                self._delivery(command.name).order(command, wish.model)
            except ModelError as error:
                self._health.problem(key, str(error))
            else:
                self._health.clear(key)

    def _one(self, name: str, wish: Wanted, configuration: Configuration) -> float | None:
        try:
            delivery = self._delivery(name)
        except ModelError as error:
            self._health.problem(f"model.{name}", str(error))
            return FIRST_PAUSE
        if wish.model.uri.startswith("s3:"):
            self._credentials()
        return delivery.advance(wish.model, configuration, wish.by)

    def _delivery(self, name: str) -> Delivery:
        """Raises ModelError where its store cannot be made."""
        delivery = self._deliveries.get(name)
        if delivery is None:
            delivery = Delivery(
                name,
                self._root,
                self._work,
                self._publish,
                self._health,
                self._log,
                self._prover,
                self._stopped.is_set,
                self._append,
            )
            self._deliveries[name] = delivery
        return delivery

    def _run(self) -> None:
        wait: float | None = None
        while not self._stopped.is_set():
            told = self._changed.wait(_LOOK if wait is None else min(wait, _LOOK))
            if told or self._wishes.fresh():
                self._changed.clear()
                self._due.clear()
            self._daily()
            wait = self.advance()
