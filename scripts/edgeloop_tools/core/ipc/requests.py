"""The requests of the operations, as JSON gives them. Source: `awsiot.greengrasscoreipc.model`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class _Request(msgspec.Struct, rename="camel"):
    pass


class JsonMessage(_Request):
    message: msgspec.Raw


class BinaryMessage(_Request):
    message: str


class PublishMessage(_Request):
    json_message: JsonMessage | None = None
    binary_message: BinaryMessage | None = None


class PublishToTopic(_Request):
    topic: str
    publish_message: PublishMessage


class SubscribeToTopic(_Request):
    topic: str
    receive_mode: str | None = None


class PublishToIoTCore(_Request):
    topic_name: str
    qos: str | int | None = None
    payload: str | None = None
    retain: bool | None = None
    user_properties: list[dict[str, str]] | None = None
    message_expiry_interval_seconds: int | None = None
    correlation_data: str | None = None
    response_topic: str | None = None
    payload_format: str | None = None
    content_type: str | None = None


class SubscribeToIoTCore(_Request):
    topic_name: str
    qos: str | int | None = None


class GetConfiguration(_Request):
    component_name: str | None = None
    key_path: tuple[str, ...] | None = None


class UpdateConfiguration(_Request):
    timestamp: Annotated[float, msgspec.Meta(ge=0, le=1e11, description="seconds since 1970")]
    value_to_merge: Any
    key_path: tuple[str, ...] | None = None


class UpdateState(_Request):
    state: str


class RestartComponent(_Request):
    component_name: str


class GetSecretValue(_Request):
    secret_id: str


class ValidateAuthorizationToken(_Request):
    token: str
