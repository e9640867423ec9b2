"""Sparkplug B's messages for protobuf, built from the specification's field numbers (version 3.0.0, section 6.4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from edgeloop import optional

PURPOSE = "Sparkplug B"
_U32, _U64, _FLOAT, _DOUBLE, _BOOL, _STRING, _BYTES, _MESSAGE = 13, 4, 2, 1, 8, 9, 12, 11
_PACKAGE = "org.eclipse.tahu.protobuf"
_MESSAGES: dict[str, tuple[tuple[str, int, int, str], ...]] = {
    "Payload": (
        ("timestamp", 1, _U64, ""), ("metrics", 2, _MESSAGE, "*Metric"), ("seq", 3, _U64, ""), ("uuid", 4, _STRING, ""),
        ("body", 5, _BYTES, ""),
    ),
    "Metric": (
        ("name", 1, _STRING, ""), ("alias", 2, _U64, ""), ("timestamp", 3, _U64, ""), ("datatype", 4, _U32, ""),
        ("is_historical", 5, _BOOL, ""), ("is_transient", 6, _BOOL, ""), ("is_null", 7, _BOOL, ""),
        ("properties", 9, _MESSAGE, "PropertySet"), ("int_value", 10, _U32, "value"), ("long_value", 11, _U64, "value"),
        ("float_value", 12, _FLOAT, "value"), ("double_value", 13, _DOUBLE, "value"),
        ("boolean_value", 14, _BOOL, "value"), ("string_value", 15, _STRING, "value"),
        ("bytes_value", 16, _BYTES, "value"),
    ),
    "PropertySet": (("keys", 1, _STRING, "*"), ("values", 2, _MESSAGE, "*PropertyValue")),
    "PropertyValue": (
        ("type", 1, _U32, ""), ("is_null", 2, _BOOL, ""), ("int_value", 3, _U32, "value"),
        ("long_value", 4, _U64, "value"), ("float_value", 5, _FLOAT, "value"), ("double_value", 6, _DOUBLE, "value"),
        ("boolean_value", 7, _BOOL, "value"), ("string_value", 8, _STRING, "value"),
    ),
}  # fmt: skip
"""Name, number, type, and what more: `*` repeated, the name of a message, or that of the oneof."""


@lru_cache(maxsize=1)
def payload() -> Any:
    """The class of a payload. Raises EdgeloopError without protobuf."""
    descriptors = optional.load("google.protobuf.descriptor_pb2", PURPOSE)
    pools = optional.load("google.protobuf.descriptor_pool", PURPOSE)
    factory = optional.load("google.protobuf.message_factory", PURPOSE)
    file = descriptors.FileDescriptorProto(name="edgeloop/sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, more in fields:
            repeated, more = more.startswith("*"), more.removeprefix("*")
            made = message.field.add(name=field, number=number, type=kind, label=3 if repeated else 1)
            if kind == _MESSAGE:
                made.type_name = f".{_PACKAGE}.{more}"
            elif more == "value":
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                made.oneof_index = 0
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))


def broken() -> type[Exception]:
    """What a payload that is none raises."""
    kind: type[Exception] = optional.load("google.protobuf.message", PURPOSE).DecodeError
    return kind


def refreshing() -> bytes:
    """The command that asks a node for its birth."""
    made = payload()()
    metric = made.metrics.add(name="Node Control/Rebirth", datatype=11)
    metric.boolean_value = True
    return bytes(made.SerializeToString())
