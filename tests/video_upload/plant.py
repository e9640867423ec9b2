"""Real processes of CameraInference and VideoUpload on a real bus, and the other side on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from camera_inference.declaration import DECLARATION as CAMERA
from edgeloop import topics
from edgeloop_tools.bench.suite import load
from video_upload.declaration import DECLARATION as VIDEO

plants: Any = load(Path(__file__).parents[1] / "plant.py")


class Plant(plants.Plant):  # type: ignore[misc]
    """A bus, an observer on it, and processes of both components."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, {d.name: plants.policy(d) for d in (CAMERA, VIDEO)})

    def configure(self, declaration: Any, **configuration: Any) -> None:
        self.deploy(declaration.name, configuration)

    def camera(self, **camera: Any) -> None:
        """One camera, `gate`, for both."""
        sent = {key: camera[key] for key in ("video", "opinion") if key in camera}
        self.configure(CAMERA, cameras={"gate": camera})
        self.configure(VIDEO, cameras={"gate": sent})

    def start(self, *declarations: Any, **environment: str) -> list[subprocess.Popen[bytes]]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        variables = {**own, "AWS_IOT_THING_NAME": "core7", **environment}
        return [
            self.launch(d.name, d.package, log=f"{d.package}.log", environment=variables)
            for d in declarations or (VIDEO, CAMERA)
        ]

    def results(self) -> list[Any]:
        return [result for d in self.documents(topics.results(CAMERA.name)) for result in d["results"]]

    def answers(self) -> list[Any]:
        """Second opinions of the camera."""
        with self._changed:
            names = [t for t in self.messages if t.startswith("edgeloop/opinions/gate/")]
        return [document for name in names for document in self.documents(name)]

    def truth(self) -> dict[str, str]:
        return {t["part"]: t["label"] for t in self.documents(topics.TRUTH)}

    def health(self, declaration: Any) -> dict[str, Any]:
        return self.health_of(declaration.name)

    def counters(self, declaration: Any) -> dict[str, int]:
        return dict(self.health(declaration).get("counters", {}))

    def close(self) -> None:
        super().close()
        for ring in (self.root / "work" / CAMERA.name / "video").glob("*"):
            if ring.is_symlink():
                shutil.rmtree(ring.readlink().parent, ignore_errors=True)


class Model:
    """A model behind HTTP. `say` makes the answer (or a status) of the id of what is asked; `pause` s before it."""

    def __init__(self) -> None:
        self.say: Callable[[str], Any] = lambda id: {"label": "good", "confidence": 0.99}
        self.pause: Callable[[], float] = lambda: 0.0
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.path, headers, body))
                time.sleep(outer.pause())
                said = headers.get("x-amzn-sagemaker-custom-attributes", "")
                found = outer.say(dict(w.split("=", 1) for w in said.split(",") if w).get("id", ""))
                status, text = (found, b"{}") if isinstance(found, int) else (200, json.dumps(found).encode())
                self.send_response_only(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *arguments: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                return

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)
