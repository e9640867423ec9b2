"""ONNX models in this process: bounded threads and memory, no spinning, CPU only."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from edgeloop.models import optional
from edgeloop.models.errors import ModelError, ModelRefused, Reason
from edgeloop.models.manifest import Manifest, Tensor
from edgeloop.models.runners.base import DEFAULT, Array, Inputs, Options, arrange, short

_TYPES = {
    "float32": "float",
    "float64": "double",
    "float16": "float16",
}
_SILENT = 4
_AS_REQUESTED = 1
_lock = threading.Lock()
_bounded = False


class OnnxRunner:
    """A session of onnxruntime. Several threads may run it at once."""

    def __init__(self, path: Path, manifest: Manifest, options: Options = DEFAULT) -> None:
        ort = optional.load("onnxruntime", "running an ONNX model")
        _bound(ort, options.memory)
        self.inputs, self.outputs = manifest.inputs, manifest.outputs
        wanted = ort.SessionOptions()
        wanted.intra_op_num_threads = options.threads
        wanted.inter_op_num_threads = 1
        wanted.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        wanted.log_severity_level = _SILENT
        for key, value in (
            ("session.use_env_allocators", "1"),
            ("session.intra_op.allow_spinning", "0"),
            ("session.inter_op.allow_spinning", "0"),
        ):
            wanted.add_session_config_entry(key, value)
        try:
            self._session: Any = ort.InferenceSession(str(path), wanted, providers=["CPUExecutionProvider"])
        except Exception as error:
            why = short(error, str(path))
            raise ModelRefused("onnxruntime cannot load the model", Reason.LOAD, where=path.name, why=why) from error
        _compare("input", manifest.inputs, self._session.get_inputs())
        _compare("output", manifest.outputs, self._session.get_outputs())
        self._names = [tensor.name for tensor in manifest.outputs]
        self._options = ort.RunOptions()
        self._options.log_severity_level = _SILENT

    def run(self, inputs: Inputs) -> list[Array]:
        session = self._session
        if session is None:
            raise ModelError("the model is closed")
        feeds = arrange(inputs, self.inputs)
        try:
            return list(session.run(self._names, feeds, self._options))
        except Exception as error:
            raise ModelError("the model failed", why=short(error)) from error

    def close(self) -> None:
        self._session = None


def _bound(ort: Any, memory: int) -> None:
    """One arena for all sessions of the process; the first session says how large it may become."""
    global _bounded
    with _lock:
        if _bounded:
            return
        ort.set_default_logger_severity(_SILENT)
        info = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        arena = ort.OrtArenaCfg({"max_mem": memory, "arena_extend_strategy": _AS_REQUESTED})
        ort.create_and_register_allocator(info, arena)
        _bounded = True


def _compare(what: str, declared: tuple[Tensor, ...], found: list[Any]) -> None:
    """What the manifest says of the model must be what the model says of itself."""
    by_name = {each.name: each for each in found}
    names = {tensor.name for tensor in declared}
    if not names <= set(by_name) or (what == "input" and names != set(by_name)):
        why = f"it has {', '.join(sorted(by_name))}; the manifest says {', '.join(sorted(names))}"
        raise ModelRefused(f"the model has other {what}s than its manifest says", Reason.LOAD, why=why)
    for tensor in declared:
        node = by_name[tensor.name]
        if node.type != f"tensor({_TYPES.get(tensor.dtype, tensor.dtype)})":
            why = f"{tensor.name} is {node.type}, the manifest says {tensor.dtype}"
            raise ModelRefused(f"an {what} of the model has another type", Reason.LOAD, why=why)
        extents = [extent if isinstance(extent, int) else None for extent in node.shape or []]
        pairs = zip(extents, tensor.shape, strict=False)
        fixed = (have is None or (what == "output" and isinstance(want, str)) or have == want for have, want in pairs)
        if len(extents) != len(tensor.shape) or not all(fixed):
            why = f"{tensor.name} has {node.shape}, the manifest says {list(tensor.shape)}"
            raise ModelRefused(f"an {what} of the model has another shape", Reason.LOAD, why=why)
