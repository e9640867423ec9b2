"""ONNX files written without the onnx package, which devices do not have: a graph of one's own, behind another one.

Source: the messages of onnx.proto3 and protobuf's wire format; a message's repeated fields lie one after the other.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from edgeloop.models.errors import ModelError
from edgeloop.models.graph import OPSET, Graph, Shape

_TYPES: Final = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NODE, _NAME, _INITIALIZER, _INPUT, _OUTPUT = 1, 2, 5, 11, 12
_IR, _PRODUCER, _GRAPH, _OPSET = 1, 2, 7, 8


def write(graph: Graph, outputs: Mapping[str, Shape], before: bytes = b"") -> bytes:
    """A model, float32 outputs by name. before: a model whose nodes come first, and whose values the graph may name;
    its own inputs and outputs are left out. Raises ModelError where `before` is none."""
    first = list(_fields(_graph_of(before))) if before else []
    parts = [_field(number, value) for number, value in first if number == _NODE]
    parts += [_field(_NODE, _node(n.operator, n.inputs, (n.output, *n.unused), n.attributes)) for n in graph.nodes]
    parts.append(_field(_NAME, graph.name.encode()))
    parts += [_field(number, value) for number, value in first if number == _INITIALIZER]
    parts += [_field(_INITIALIZER, _tensor(name, value)) for name, value in graph.constants.items()]
    parts += [_field(_INPUT, _value(name, dtype, shape)) for name, (dtype, shape) in graph.inputs.items()]
    parts += [_field(_OUTPUT, _value(name, "float32", shape)) for name, shape in outputs.items()]
    opset = _field(1, b"") + _number(2, OPSET)
    return _number(_IR, 9) + _field(_PRODUCER, b"edgeloop") + _field(_GRAPH, b"".join(parts)) + _field(_OPSET, opset)


def _graph_of(model: bytes) -> bytes:
    try:
        return next(value for number, value in _fields(model) if number == _GRAPH and isinstance(value, bytes))
    except (StopIteration, IndexError, struct.error):
        raise ModelError("not an ONNX file", why="it holds no graph") from None


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of the fields that have a length; the others are passed over."""
    place, size = 0, len(message)
    while place < size:
        key, place = _read_varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            _, place = _read_varint(message, place)
        elif kind == _FIXED64:
            place += 8
        elif kind == _FIXED32:
            place += 4
        elif kind == _BYTES:
            length, place = _read_varint(message, place)
            if place + length > size:
                raise IndexError("cut off")
            yield key >> 3, message[place : place + length]
            place += length
        else:
            raise IndexError("no such wire type")


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7


def _varint(value: int) -> bytes:
    """
    >>> _varint(300).hex(), len(_varint(-1))
    ('ac02', 10)
    """
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _node(operator: str, inputs: tuple[str, ...], outputs: tuple[str, ...], attributes: Mapping[str, Any]) -> bytes:
    parts = [_field(1, name.encode()) for name in inputs]
    parts += [_field(2, name.encode()) for name in outputs]
    parts.append(_field(4, operator.encode()))
    parts += [_field(5, _attribute(name, value)) for name, value in sorted(attributes.items())]
    return b"".join(parts)


def _attribute(name: str, value: Any) -> bytes:
    head = _field(1, name.encode())
    if isinstance(value, float):
        return head + _varint(2 << 3 | _FIXED32) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    if isinstance(value, str):
        return head + _field(4, value.encode()) + _number(20, 3)
    if all(isinstance(each, int) for each in value):
        return head + b"".join(_number(8, each) for each in value) + _number(20, 7)
    floats = b"".join(_varint(7 << 3 | _FIXED32) + struct.pack("<f", each) for each in value)
    return head + floats + _number(20, 6)


def _tensor(name: str, value: np.ndarray[Any, Any]) -> bytes:
    dims = b"".join(_number(1, extent) for extent in value.shape)
    content = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    return dims + _number(2, _TYPES[value.dtype.name]) + _field(8, name.encode()) + _field(9, content)


def _value(name: str, dtype: str, shape: Shape) -> bytes:
    dims = b"".join(
        _field(1, _field(2, extent.encode()) if isinstance(extent, str) else _number(1, extent)) for extent in shape
    )
    tensor = _number(1, _TYPES[dtype]) + _field(2, dims)
    return _field(1, name.encode()) + _field(2, _field(1, tensor))
