"""A model's file: what goes in, what comes out, what it says of itself, and runs of it."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop import optional
from edgeloop.errors import EdgeloopError

Array = NDArray[Any]
SIZES: Final = {
    "classification": ((224, 224), (256, 256), (320, 320)), "embedding": ((224, 224), (112, 112), (256, 128)),
    "one_class": ((256, 256), (224, 224), (512, 512)), "keypoints": ((192, 256), (256, 256), (192, 192)),
}  # fmt: skip
USUAL: Final = ((640, 640), (320, 320), (416, 416), (512, 512), (256, 256), (224, 224), (800, 800))
LABEL_FILES: Final = (
    "labels.txt",
    "classes.txt",
    "names.txt",
    "labels.json",
    "data.yaml",
    "names.yaml",
    "metadata.yaml",
)
_TYPES: Final = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8"}


@dataclass
class Opened:
    """files: of the package, by name. width, height: pixels of the input. layout: nchw or nhwc; batched: whether there
    is an axis of one picture in front. fixed: whether the graph leaves no choice of size. said: its metadata."""

    files: dict[str, bytes | Path]
    session: Any
    name: str
    dtype: str
    layout: str
    channels: int
    width: int
    height: int
    batched: bool
    fixed: bool
    outputs: tuple[str, ...]
    types: dict[str, str]
    said: dict[str, str]
    labels: tuple[str, ...] = ()
    itself: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        core = (self.channels, self.height, self.width)
        core = core if self.layout == "nchw" else (self.height, self.width, self.channels)
        return (1, *core) if self.batched else core

    def run(self, tensor: Array) -> dict[str, Array]:
        """Raises EdgeloopError."""
        try:
            found = self.session.run(list(self.outputs), {self.name: tensor.reshape(self.shape)})
        except Exception as error:
            line = str(error).strip().splitlines()[-1][:200]
            raise EdgeloopError("the model failed", where=f"an input of {self.shape}", why=line,
                                mend="try another --size") from error  # fmt: skip
        return dict(zip(self.outputs, map(np.asarray, found), strict=True))


def open_model(path: Path, task: str, size: tuple[int, int] | None, labels: Path | None) -> Opened:
    """Raises EdgeloopError where it is no model for pictures."""
    files, folder = _files(path)
    model, notes = _constant_inputs(files, size)
    ort = optional.load("onnxruntime", "looking at a model")
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = str(model) if isinstance(model, Path) else model
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        line = str(error).strip().splitlines()[0][:300]
        raise EdgeloopError("onnxruntime cannot load the model", where=str(path), why=line) from None
    inputs = session.get_inputs()
    if len(inputs) != 1:
        why = ", ".join(f"{each.name} {each.shape}" for each in inputs)
        raise EdgeloopError("the model takes more than one picture", where=str(path), why=why,
                            mend="export it with the picture as its only input")  # fmt: skip
    one = inputs[0]
    if one.type not in _TYPES:
        raise EdgeloopError("the model takes no picture", where=one.name, why=f"{one.type}; float, float16 or uint8 is")
    said = dict(session.get_modelmeta().custom_metadata_map)
    layout, channels, batched = _layout(one.name, list(one.shape))
    place = (-2, -1) if layout == "nchw" else (-3, -2)
    have = [
        extent if isinstance(extent, int) and extent > 0 else None
        for extent in (one.shape[place[0]], one.shape[place[1]])
    ]
    outputs = session.get_outputs()
    opened = Opened(
        files, session, one.name, _TYPES[one.type], layout, channels, 0, 0, batched, None not in have,
        tuple(each.name for each in outputs), {each.name: each.type for each in outputs}, said,
        _labels(labels, folder, said), notes=notes,
    )  # fmt: skip
    opened.itself = opened.dtype == "uint8" or _normalises(files["model.onnx"])
    _size(opened, task, size, (have[1], have[0]))
    return opened


def _files(path: Path) -> tuple[dict[str, bytes | Path], Path]:
    if path.is_dir():
        found = sorted(path.glob("*.onnx"))
        if len(found) != 1:
            raise EdgeloopError("which model?", where=str(path), why=f"{len(found)} files *.onnx", mend="name the file")
        path = found[0]
    if not path.is_file():
        raise EdgeloopError("there is no such model", where=str(path), mend="name a file *.onnx, or its folder")
    if path.suffix.lower() != ".onnx":
        raise EdgeloopError("this is no ONNX model", where=str(path), mend="export it as ONNX first")
    files: dict[str, bytes | Path] = {"model.onnx": path}
    onnx = optional.load("onnx", "looking at a model")
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:
        raise EdgeloopError("this is no ONNX model", where=str(path), why=str(error).splitlines()[0][:200]) from None
    for tensor in graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                files[entry.value] = path.parent / entry.value
    return files, path.parent


def _constant_inputs(files: dict[str, bytes | Path], size: tuple[int, int] | None) -> tuple[bytes | Path, list[str]]:
    """Inputs that say no more than how large the picture is become constants: RT-DETR, PaddleDetection."""
    onnx = optional.load("onnx", "looking at a model")
    path = files["model.onnx"]
    if len(files) > 1 or not isinstance(path, Path):
        return path, []
    model = onnx.load(str(path))
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in known]
    if len(inputs) < 2:
        return path, []
    extents = {e.name: [d.dim_value for d in e.type.tensor_type.shape.dim] for e in inputs}
    picture = next((e for e in inputs if len(extents[e.name]) == 4), None)
    if picture is None:
        return path, []
    dims = extents[picture.name]
    height, width = dims[2:] if dims[1] in (1, 3) else dims[1:3]
    width, height = size or (width or 640, height or 640)
    notes = []
    for each in inputs:
        if each is picture:
            continue
        value = {"orig_target_sizes": [width, height], "im_shape": [height, width], "image_shape": [height, width],
                 "scale_factor": [1, 1]}.get(each.name)  # fmt: skip
        if value is None:
            return path, []
        kind = onnx.helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
        constant = onnx.numpy_helper.from_array(np.array([value], kind), each.name)
        model.graph.initializer.append(constant)
        model.graph.input.remove(each)
        notes.append(f"input {each.name} is the constant {value} in the package")
    data: bytes = model.SerializeToString()
    files["model.onnx"] = data
    return data, notes


def _layout(name: str, shape: list[Any]) -> tuple[str, int, bool]:
    if len(shape) not in (3, 4):
        raise EdgeloopError("the model takes no picture", where=name, why=f"its input has the shape {shape}")
    batched = len(shape) == 4
    if batched and isinstance(shape[0], int) and shape[0] > 1:
        raise EdgeloopError("the model takes several pictures at once", where=name, why=f"its input is {shape}",
                            mend="export it for one")  # fmt: skip
    core = shape[1:] if batched else shape
    if core[0] in (1, 3) or (not isinstance(core[0], int) and core[2] not in (1, 3)):
        return "nchw", core[0] if isinstance(core[0], int) else 3, batched
    if core[2] in (1, 3):
        return "nhwc", core[2], batched
    raise EdgeloopError("the model takes no picture", where=name, why=f"{shape} has neither 1 nor 3 channels")


def _size(opened: Opened, task: str, wanted: tuple[int, int] | None, have: tuple[int | None, int | None]) -> None:
    """Sets width and height: what the graph says, what was asked for, what it says of itself, or what works."""
    if opened.fixed:
        opened.width, opened.height = have[0] or 0, have[1] or 0
        if wanted and wanted != (opened.width, opened.height):
            why = f"the graph takes {opened.width}x{opened.height}"
            raise EdgeloopError("the model takes another size", where="--size", why=why, mend="leave it out")
        return
    tries: tuple[tuple[int, int], ...]
    if wanted:
        tries = (wanted,)
    elif (own := _literal(opened.said.get("imgsz", ""))) is not None:
        sides = own if isinstance(own, list) else [own, own]
        tries = ((int(sides[-1]), int(sides[0])),)
    else:
        tries = (*SIZES.get(task, ()), *USUAL)
    problem: EdgeloopError | None = None
    for width, height in tries:
        opened.width, opened.height = have[0] or width, have[1] or height
        try:
            opened.run(np.zeros(opened.shape, np.dtype(opened.dtype)))
            return
        except EdgeloopError as error:
            problem = error
    assert problem is not None
    raise problem


def _normalises(model: bytes | Path) -> bool:
    """Whether the first thing that the graph does with the picture is to scale it."""
    onnx = optional.load("onnx", "looking at a model")
    graph = (
        onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(str(model), load_external_data=False)
    ).graph
    known = {tensor.name for tensor in graph.initializer}
    name = next((each.name for each in graph.input if each.name not in known), "")
    for node in graph.node:
        if name in node.input:
            if node.op_type in ("Cast", "Transpose", "Identity", "Unsqueeze", "Squeeze"):
                name = node.output[0]
                continue
            return node.op_type in ("Sub", "Div", "Mul", "Add", "BatchNormalization", "InstanceNormalization")
    return False


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _labels(path: Path | None, folder: Path, said: Mapping[str, str]) -> tuple[str, ...]:
    if path is not None:
        found = read_labels(path)
    elif names := _named(_literal(said.get("names", ""))):
        return names
    else:
        beside = next((folder / name for name in LABEL_FILES if (folder / name).is_file()), None)
        found = read_labels(beside) if beside is not None else ()
    return found


def read_labels(path: Path) -> tuple[str, ...]:
    """One a line; or JSON or YAML: a list, a map from number to name, or either under `names`. Raises EdgeloopError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeloopError("the labels cannot be read", where=str(path), why=str(error)) from None
    if path.suffix.lower() in (".json", ".yaml", ".yml"):
        try:
            read = (
                json.loads(text) if path.suffix.lower() == ".json" else optional.load("yaml", "labels").safe_load(text)
            )
        except Exception as error:
            raise EdgeloopError("the labels cannot be read", where=str(path), why=str(error).splitlines()[0]) from None
        names = _named(read.get("names", read) if isinstance(read, dict) else read)
    else:
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise EdgeloopError("these are no labels", where=str(path), mend="write one name a line, each once")
    return names


def _named(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict) and value:
        try:
            ordered = sorted(value.items(), key=lambda item: int(item[0]))
        except (TypeError, ValueError):
            return ()
        return tuple(str(name) for _, name in ordered)
    return tuple(str(name) for name in value) if isinstance(value, list) else ()
