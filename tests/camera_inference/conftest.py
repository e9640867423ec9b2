"""A real CameraInference process on a real bus, and small models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from camera_inference.declaration import DECLARATION, NAME
from edgeloop import topics
from edgeloop.fleet import topic as findings
from edgeloop.models import golden
from edgeloop.models.manifest import Golden, Image, Manifest, Provenance, Tensor, Variant
from edgeloop.models.package import listed, pack

from ..plant import PUBSUB, OnePlant, policy

ACT = {"operations": ["aws.greengrass#PublishToTopic"], "resources": ["edgeloop/actions/press1"]}


class Plant(OnePlant):
    """A bus, an observer on it, and CameraInference processes."""

    def __init__(self, root: Path) -> None:
        allowed = policy(DECLARATION)[PUBSUB]
        hear = {"operations": ["aws.greengrass#SubscribeToIoTCore"], "resources": [findings("plant", "+")]}
        cloud = {"aws.greengrass.ipc.mqttproxy": {"hear": hear}}
        super().__init__(root, DECLARATION, {PUBSUB: {**allowed, "act": ACT}, **cloud})

    def results(self) -> list[Any]:
        return [result for d in self.documents(topics.results(NAME)) for result in d["results"]]


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
