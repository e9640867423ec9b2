"""AnomalyInference: setup, then infer and publish until it is stopped."""

from __future__ import annotations

from anomaly_inference.declaration import DECLARATION
from anomaly_inference.service import Service
from edgeloop.component import App

TICK = 0.05


def main() -> int:
    with App.start(DECLARATION) as app:
        service = app.made(lambda: Service(app))
        while not app.stop.is_set():
            service.publish(service.infer(TICK))
        service.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
