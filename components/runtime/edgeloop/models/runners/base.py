"""What all runners have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from edgeloop.models.errors import ModelError
from edgeloop.models.manifest import Tensor

Array = np.ndarray[Any, Any]
Inputs = Mapping[str, Array] | Array


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """threads: of one run. memory: bytes, of all models of this process (onnxruntime). timeout: s, of a load or a run
    in a worker process (dlr)."""

    threads: int = 1
    memory: int = 512 << 20
    timeout: float = 20.0


DEFAULT: Final = Options()
_SOURCE = re.compile(r"^/\S+:\d+ .*?\) ")


class Runner(Protocol):
    """A loaded model. `run` may be called from several threads."""

    @property
    def inputs(self) -> tuple[Tensor, ...]: ...

    @property
    def outputs(self) -> tuple[Tensor, ...]: ...

    def run(self, inputs: Inputs) -> list[Array]:
        """All outputs, in the manifest's order. One array stands for the only input. Raises ModelError where an array
        does not fit, and where the model failed."""
        ...

    def close(self) -> None: ...


def arrange(inputs: Inputs, tensors: Sequence[Tensor]) -> dict[str, Array]:
    """The inputs by name, C-contiguous. Raises ModelError naming the one that does not fit."""
    if isinstance(inputs, np.ndarray):
        if len(tensors) != 1:
            raise ModelError("the model takes several inputs", why=", ".join(t.name for t in tensors))
        inputs = {tensors[0].name: inputs}
    if set(inputs) != {tensor.name for tensor in tensors}:
        why = f"{', '.join(sorted(inputs))} given, {', '.join(t.name for t in tensors)} expected"
        raise ModelError("these are not the inputs of the model", why=why)
    for tensor in tensors:
        if reason := tensor.fits(inputs[tensor.name]):
            raise ModelError("an input does not fit the model", why=reason)
    return {tensor.name: np.ascontiguousarray(inputs[tensor.name]) for tensor in tensors}


def short(error: BaseException, path: str = "") -> str:
    """The first line of a library's error, without the path that everyone knows.

    >>> short(RuntimeError("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid\\n more"))
    'Got invalid'
    >>> short(RuntimeError("Non-zero status code. Status Message: /src/arena.cc:360 void* Alloc(size_t, bool) No room"))
    'No room'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = _SOURCE.sub("", lines[0].rpartition(" : ")[2].rpartition("Status Message: ")[2])
    return (line.replace(f"Load model from {path} failed:", "").replace(path, "") if path else line).strip()[:300]
