"""A process that holds one model compiled by SageMaker Neo: `main([socket, shared memory])`, both descriptors.

The first message is a Job, answered by an Answer; then each `run` is answered by an Answer, inputs and outputs being
in the shared memory at the places that `layout` gives. The end of the socket ends the process.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec
import numpy as np

from edgeloop.decode import OWN, document
from edgeloop.models.manifest import Tensor
from edgeloop.models.runners.base import Array

LARGEST: Final = 1 << 20
RUN: Final = b"run"
_ALIGNMENT: Final = 64
_NO_LIBRARY: Final = "DLRLibraryNotFound"


class Job(msgspec.Struct, frozen=True):
    path: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class Answer(msgspec.Struct, frozen=True):
    """error: "" where all went well. missing: whether it is dlr itself that is not there."""

    error: str = ""
    missing: bool = False


def layout(tensors: Sequence[Tensor]) -> tuple[list[int], int]:
    """Offsets of the tensors in the shared memory, and its size, in bytes. All extents are numbers.

    >>> layout([Tensor(name="x", dtype="float32", shape=(3,)), Tensor(name="y", dtype="int8", shape=(5,))])
    ([0, 64], 128)
    """
    offsets, end = [], 0
    for tensor in tensors:
        offsets.append(end)
        size = int(np.prod(extents(tensor), dtype=np.int64)) * np.dtype(tensor.dtype).itemsize
        end += -(-size // _ALIGNMENT) * _ALIGNMENT
    return offsets, end


def extents(tensor: Tensor) -> tuple[int, ...]:
    return cast(tuple[int, ...], tensor.shape)


def views(memory: mmap.mmap, tensors: Sequence[Tensor]) -> list[Array]:
    """Arrays in the shared memory."""
    offsets, _ = layout(tensors)
    return [
        np.ndarray(extents(tensor), np.dtype(tensor.dtype), memory, offset)
        for tensor, offset in zip(tensors, offsets, strict=True)
    ]


def silence() -> None:
    """dlr calls home when it is imported and when it loads a model, and waits for the answer for ever: its module that
    does so is replaced before the import."""
    module = types.ModuleType("dlr.counter")
    module.call_phone_home = lambda function: function  # type: ignore[attr-defined]
    sys.modules["dlr.counter"] = module


def load(job: Job) -> Any:
    """Loads it and runs it once on zeros, which shows its outputs. Raises ImportError without dlr, else anything for a
    model that is no good."""
    silence()
    dlr = __import__("dlr")
    model = dlr.DLRModel(job.path, "cpu", 0)
    names = list(model.get_input_names())
    declared = {tensor.name: tensor.dtype for tensor in job.inputs}
    if set(names) != set(declared):
        raise ValueError(f"its inputs are {', '.join(sorted(names))}, the manifest says {', '.join(sorted(declared))}")
    for name, dtype in zip(names, model.get_input_dtypes(), strict=True):
        if dtype != declared[name]:
            raise ValueError(f"its input {name} is {dtype}, the manifest says {declared[name]}")
    zeros = {tensor.name: np.zeros(extents(tensor), tensor.dtype) for tensor in job.inputs}
    run(model, zeros, job.outputs, [np.empty(extents(tensor), tensor.dtype) for tensor in job.outputs])
    return model


def run(model: Any, inputs: dict[str, Array], tensors: Sequence[Tensor], places: Sequence[Array]) -> None:
    results = model.run(inputs)
    if len(results) != len(tensors):
        raise ValueError(f"it has {len(results)} outputs, the manifest says {len(tensors)}")
    for result, tensor, place in zip(results, tensors, places, strict=True):
        if reason := tensor.fits(np.asarray(result)):
            raise ValueError(reason)
        place[...] = result


def main(argv: Sequence[str]) -> int:
    control = socket.socket(fileno=int(argv[0]))
    memory = int(argv[1])
    threading.Thread(target=_end_with, args=(control.fileno(),), daemon=True).start()
    job = document(control.recv(LARGEST), Job, bounds=OWN)
    model: Any = None

    def answer(answer: Answer) -> None:
        control.sendall(msgspec.json.encode(answer))

    try:
        model = load(job)
    except Exception as error:
        answer(Answer(_line(error), isinstance(error, ImportError) or type(error).__name__ == _NO_LIBRARY))
        return 1
    tensors = (*job.inputs, *job.outputs)
    arrays = views(mmap.mmap(memory, layout(tensors)[1]), tensors)
    os.close(memory)
    inputs = {tensor.name: array for tensor, array in zip(job.inputs, arrays, strict=False)}
    places = arrays[len(inputs) :]
    answer(Answer())
    while control.recv(LARGEST) == RUN:
        try:
            run(model, inputs, job.outputs, places)
        except Exception as error:
            answer(Answer(_line(error)))
        else:
            answer(Answer())
    return 0


def _end_with(control: int) -> None:
    """Ends this process, whatever native code is at, when nobody holds the other end any more."""
    poll = select.poll()
    poll.register(control, select.POLLRDHUP)
    poll.poll()
    os._exit(1)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
