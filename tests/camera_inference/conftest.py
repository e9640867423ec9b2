"""A real CameraInference process on a real bus, and small models."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from camera_inference.declaration import DECLARATION, NAME
from edgeloop import documents, topics
from edgeloop.bus import Bus
from edgeloop.fleet import topic as findings
from edgeloop.models import golden
from edgeloop.models.manifest import Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack
from edgeloop_tools.core.ipc.backend import MemoryBackend
from edgeloop_tools.core.ipc.server import Server

ROOT = Path(__file__).parents[2]
PUBSUB = "aws.greengrass.ipc.pubsub"


def policy() -> dict[str, Any]:
    """The access control that the declaration asks for."""
    return {
        PUBSUB: {
            "publish": {"operations": ["aws.greengrass#PublishToTopic"], "resources": [*DECLARATION.publishes]},
            "subscribe": {"operations": ["aws.greengrass#SubscribeToTopic"], "resources": [*DECLARATION.subscribes]},
            "act": {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["edgeloop/actions/press1"]},
        },
        "aws.greengrass.ipc.mqttproxy": {
            "hear": {"operations": ["aws.greengrass#SubscribeToIoTCore"], "resources": [findings("plant", "+")]},
        },
    }


class Plant:
    """A bus, an observer on it, and CameraInference processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work" / NAME
        self.work.mkdir(parents=True)
        self.backend = MemoryBackend()
        self.socket = root / "ipc.socket"
        self.token = self.backend.add(NAME, policy())
        self.messages: dict[str, list[bytes]] = {}
        self._decoded: dict[str, list[Any]] = {}
        self._changed = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._loop = asyncio.new_event_loop()
        self._server = Server(self.socket, self.backend, "classic")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        started = threading.Event()
        self._loop.call_soon(lambda: self._loop.create_task(self._start(started)))
        self._thread.start()
        assert started.wait(60)
        self.bus = Bus(self.socket, self.backend.add("tests", unrestricted=True))
        self.bus.__enter__()
        self.bus.subscribe("edgeloop/#", self._heard, depth=100_000)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _start(self, started: threading.Event) -> None:
        await self._server.start()
        self._serving = asyncio.create_task(self._server.serve())
        started.set()

    async def _stop(self) -> None:
        self._serving.cancel()
        await self._server.close()

    def _heard(self, topic: str, payload: bytes) -> None:
        with self._changed:
            self.messages.setdefault(topic, []).append(payload)
            self._changed.notify_all()

    def publish_from_cloud(self, topic: str, payload: bytes) -> None:
        """Retained, as another client of IoT Core does."""

        async def say() -> None:
            self._server.operations.publish_from_cloud(topic, payload, retain=True)

        asyncio.run_coroutine_threadsafe(say(), self._loop).result(60)

    def configure(self, **configuration: Any) -> None:
        """Changes the configuration as a deployment would."""
        done = asyncio.run_coroutine_threadsafe(
            self.backend.update_configuration(NAME, (), configuration, time.time_ns() // 10**6), self._loop
        )
        done.result(60)

    def start(self, archive: Path | None = None, *before: Path) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(self.socket),
            "SVCUID": self.token,
            "PYTHONPATH": os.pathsep.join(map(str, [*before, ROOT / "components", ROOT / "components" / "runtime"])),
        }
        program = ["-m", "camera_inference"]
        if archive is not None:
            program = [str(archive)]
            del environment["PYTHONPATH"]
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", *program, "--root", str(self.root), "--debug"],
                env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.work,
            )  # fmt: skip
        self._processes.append(process)
        return process

    def documents(self, topic: str) -> list[Any]:
        """Of a topic, all so far; each is decoded once, or a long run would spend its time here and not on the bus."""
        with self._changed:
            decoded = self._decoded.setdefault(topic, [])
            decoded += [documents.decode(p) for p in self.messages.get(topic, [])[len(decoded) :]]
            return list(decoded)

    def results(self) -> list[Any]:
        return [result for d in self.documents(topics.results(NAME)) for result in d["results"]]

    def wait(self, true: Callable[[], object], seconds: float = 60) -> None:
        """Until a condition holds, looked at after every message."""
        end = time.monotonic() + seconds
        with self._changed:
            while not true():
                left = end - time.monotonic()
                assert left > 0, f"not within {seconds} s\n{self.log()[-3000:]}"
                self._changed.wait(min(left, 0.5))

    def health(self) -> dict[str, Any]:
        """The newest health document."""
        found = self.documents(topics.health(NAME))
        return found[-1] if found else {}

    def problems(self) -> str:
        return str(self.health().get("problems", ""))

    def log(self) -> str:
        return (self.root / "log").read_text()

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        self.bus.close()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.close()


def brightness(
    path: Path, *, name: str = "brightness", width: int = 16, height: int = 12, version: str = "1.0.0",
    fail: float = 0.5, made_on: str = "",
) -> str:
    """A package of a real one-class model: the mean brightness of the image, 0..1. Returns its digest."""
    shape = (1, height, width, 3)
    nodes = [
        helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["mean", "white"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, list(shape))],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([255.0], np.float32), "white")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    image = np.full(shape, 51, np.uint8)
    files = {
        "model.onnx": model.SerializeToString(deterministic=True),
        "golden.npz": golden.encode([golden.Case({"image": image}, [np.array([0.2], np.float32)])]),
    }
    manifest = Manifest(
        schema=1, name=name, version=version, task="one_class", files=listed(files),
        variants=(Variant(runtime="onnxruntime", path="model.onnx"),),
        inputs=(Tensor(name="image", dtype="uint8", shape=shape),),
        outputs=(Tensor(name="score", dtype="float32", shape=(1,)),),
        golden=Golden(), labels=("good", "bright"), thresholds={"fail": fail},
        preprocessing=(Image(input="image", width=width, height=height, layout="nhwc"),),
        provenance=Provenance(made_on=made_on),
    )  # fmt: skip
    return pack(path, manifest, files)


@pytest.fixture
def make_model() -> Callable[..., str]:
    return brightness
