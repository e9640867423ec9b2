"""Real processes of CameraInference and VideoUpload on a real bus, and the other side on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from camera_inference.declaration import DECLARATION as CAMERA
from edgeloop import documents, topics
from edgeloop.bus import Bus
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server
from video_upload.declaration import DECLARATION as VIDEO

ROOT = Path(__file__).parents[2]
PUBSUB = "aws.greengrass.ipc.pubsub"


def policy(declaration: Any) -> dict[str, Any]:
    """The access control that a declaration asks for."""
    return {
        PUBSUB: {
            "publish": {"operations": ["aws.greengrass#PublishToTopic"], "resources": [*declaration.publishes]},
            "subscribe": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": [*declaration.subscribes]},
        }
    }


class Plant:
    """A bus, an observer on it, and processes of both components."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.backend = MemoryBackend()
        self.socket = root / "ipc.socket"
        self.tokens = {d.name: self.backend.add(d.name, policy(d)) for d in (CAMERA, VIDEO)}
        for name in self.tokens:
            (root / "work" / name).mkdir(parents=True)
        self.messages: dict[str, list[bytes]] = {}
        self._changed = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._server = Server(self.socket, self.backend, "classic")
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        self.bus = Bus(self.socket, self.backend.add("tests", unrestricted=True))
        self.bus.__enter__()
        self.bus.subscribe("edgeloop/#", self._heard, depth=100_000)

    async def _start(self) -> None:
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())

    async def _stop(self) -> None:
        self._serving.cancel()
        await self._server.close()

    def _heard(self, topic: str, payload: bytes) -> None:
        with self._changed:
            self.messages.setdefault(topic, []).append(payload)
            self._changed.notify_all()

    def configure(self, declaration: Any, **configuration: Any) -> None:
        """Changes the configuration as a deployment would."""
        done = asyncio.run_coroutine_threadsafe(
            self.backend.update_configuration(declaration.name, (), configuration, time.time_ns() // 10**6), self._loop
        )
        done.result(60)

    def camera(self, **camera: Any) -> None:
        """One camera, `gate`, for both."""
        sent = {key: camera[key] for key in ("video", "opinion") if key in camera}
        self.configure(CAMERA, cameras={"gate": camera})
        self.configure(VIDEO, cameras={"gate": sent})

    def start(self, *declarations: Any, **environment: str) -> list[subprocess.Popen[bytes]]:
        started = []
        for declaration in declarations or (VIDEO, CAMERA):
            variables = {
                **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
                "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
                "SVCUID": self.tokens[declaration.name],
                "AWS_IOT_THING_NAME": "core7",
                "PYTHONPATH": os.pathsep.join(map(str, [ROOT / "components", ROOT / "components" / "runtime"])),
                **environment,
            }
            with (self.root / f"{declaration.package}.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-u", "-m", declaration.package, "--root", str(self.root), "--debug"],
                    env=variables, stdout=log, stderr=subprocess.STDOUT, cwd=self.root / "work" / declaration.name,
                )  # fmt: skip
            self._processes.append(process)
            started.append(process)
        return started

    def documents(self, topic: str) -> list[Any]:
        with self._changed:
            return [documents.decode(p) for p in self.messages.get(topic, [])]

    def results(self) -> list[Any]:
        return [result for d in self.documents(topics.results(CAMERA.name)) for result in d["results"]]

    def answers(self) -> list[Any]:
        """Second opinions of the camera."""
        with self._changed:
            names = [t for t in self.messages if t.startswith("edgeloop/opinions/gate/")]
        return [document for name in names for document in self.documents(name)]

    def truth(self) -> dict[str, str]:
        return {t["part"]: t["label"] for t in self.documents(topics.TRUTH)}

    def wait(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Until a condition holds, looked at after every message."""
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"not within {seconds} s\n{self.log()[-4000:]}"
                self._changed.wait(min(left, 0.5))

    def health(self, declaration: Any) -> dict[str, Any]:
        """The newest health document."""
        found = self.documents(topics.health(declaration.name))
        return found[-1] if found else {}

    def counters(self, declaration: Any) -> dict[str, int]:
        return dict(self.health(declaration).get("counters", {}))

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.root.glob("*.log")))

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        for ring in (self.root / "work" / CAMERA.name / "video").glob("*"):
            if ring.is_symlink():
                shutil.rmtree(ring.readlink().parent, ignore_errors=True)
        self.bus.close()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()


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
