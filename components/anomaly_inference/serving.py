"""The models that monitors name, as ModelUpdate's store has them."""

from __future__ import annotations

import threading
from typing import Any

from anomaly_inference.configuration import Configuration
from anomaly_inference.declaration import NAME
from edgeloop import topics
from edgeloop.component import App
from edgeloop.detect.models import Serving
from edgeloop.models.active import ActiveModel, Loaded
from edgeloop.models.default import default_model
from edgeloop.models.scoring import WindowScorer


class ModelStore:
    """Opens a model when a monitor first names it; what fails is a line of health, and the others go on."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._active: dict[str, tuple[ActiveModel, threading.Thread]] = {}
        self._serving: dict[str, tuple[Loaded, Serving]] = {}
        app.bus.subscribe(topics.model("+"), self._notice)

    def apply(self, configuration: Configuration) -> None:
        """The models of this configuration, and no others."""
        wanted = {name for monitor in configuration.monitors.values() for name in monitor.models.split()}
        for name in self._active.keys() - wanted:
            self._close(name)
        for name in wanted - self._active.keys():
            active = ActiveModel(
                name,
                NAME,
                self._app.root,
                default=default_model(name),
                on_problem=self._app.health.set,
                on_hung=self._app.restart,
            )
            starting = threading.Thread(target=active.start, name=f"loading-{name}", daemon=True)
            self._active[name] = active, starting
            starting.start()

    def provide(self, name: str) -> Serving | None:
        """The model as it is now, None while there is none."""
        if name not in self._active:
            return None
        active, _ = self._active[name]
        loaded = active.current
        if loaded is None:
            return None
        known = self._serving.get(name)
        if known is None or known[0] is not loaded:
            known = self._serving[name] = loaded, _serving(active, loaded)
        return known[1]

    def close(self) -> None:
        for name in list(self._active):
            self._close(name)

    def _close(self, name: str) -> None:
        active, starting = self._active.pop(name)
        self._serving.pop(name, None)
        starting.join()
        active.close()

    def _notice(self, topic: str, payload: bytes) -> None:
        found = self._active.get(topic.rpartition("/")[2])
        if found is not None:
            found[0].notice(topic, payload)


def _serving(active: ActiveModel, loaded: Loaded) -> Serving:
    return Serving(
        key=f"{loaded.digest}/{loaded.place}",
        manifest=loaded.manifest,
        scorer=lambda: WindowScorer(loaded.manifest, loaded.runner),
        used=lambda: active.used(loaded),
        failed=lambda: active.failed(loaded),
    )
