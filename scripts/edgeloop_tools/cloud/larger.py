"""A stand-in for a larger model in the cloud: it knows what the simulator made, and is nearly always right."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Final

from edgeloop_tools.harness.loopback import Loopback

PATIENCE: Final = 0.5
"""s that the truth of a part is waited for."""


class Larger:
    """truth(camera, part): the part's label, None while it is not known. As a context manager."""

    def __init__(
        self, truth: Callable[[str, str], str | None], *, pause: float = 0.08, right: float = 0.99, seed: int = 0
    ) -> None:
        self.gone = False
        """Whether it answers nobody."""
        self.pictures: defaultdict[str, int] = defaultdict(int)
        self.bytes: defaultdict[str, int] = defaultdict(int)
        self._truth, self._pause, self._right = truth, pause, right
        self._random = random.Random(seed)
        self._server = Loopback(self._answer)
        self.url = f"{self._server.url}/judge"

    def __enter__(self) -> Larger:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.gone:
            request.close_connection = True
            return
        about = request.headers.get("X-Amzn-SageMaker-Custom-Attributes", "")
        asked = dict(word.split("=", 1) for word in about.split(",") if "=" in word)
        camera, part = asked.get("camera", ""), asked.get("id", "")
        self.pictures[camera] += 1
        self.bytes[camera] += len(body)
        time.sleep(self._pause)
        label = self._truth(camera, part)
        ends = time.monotonic() + PATIENCE
        while label is None and time.monotonic() < ends:
            time.sleep(0.01)
            label = self._truth(camera, part)
        if self._random.random() > self._right:
            label = "scratch" if label == "good" else "good"
        text = json.dumps({"label": label or "good", "confidence": self._right, "model": "larger"}).encode()
        request.send_response_only(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)
