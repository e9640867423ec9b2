"""What requests carry, in the field names and bounds of stream-manager 1.1.2 (`stream_manager.data`)."""

from __future__ import annotations

import enum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from edgeloop_tools.core.stream_manager.protocol import ResponseStatus, StreamManagerError

_LONG = (1 << 63) - 1
_MILLIS = 9_223_372_036_854
_MIB = 1 << 20

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\A[\w ,.\-]*\Z")]
RequestId = Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"\A[\w ,.\-]*\Z")]
Sequence = Annotated[int, Meta(ge=0, le=_LONG)]
Priority = Annotated[int, Meta(ge=1, le=10)]
Interval = Annotated[int, Meta(ge=60_000, le=_MILLIS)]

LOWEST_PRIORITY = 10

T = TypeVar("T")


class Persistence(enum.IntEnum):
    FILE = 0
    MEMORY = 1


class StrategyOnFull(enum.IntEnum):
    REJECT_NEW_DATA = 0
    OVERWRITE_OLDEST_DATA = 1


class ExportFormat(enum.IntEnum):
    RAW_NOT_BATCHED = 0
    JSON_BATCHED = 1


class StatusLevel(enum.IntEnum):
    ERROR = 0
    WARN = 1
    INFO = 2
    DEBUG = 3
    TRACE = 4


class _Base(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    pass


class StatusConfig(_Base, frozen=True, kw_only=True):
    status_level: StatusLevel | None = None
    status_stream_name: Name | None = None


class Export(_Base, frozen=True, kw_only=True):
    """What every kind of export has."""

    identifier: Name
    priority: Priority | None = None
    disabled: bool | None = None

    @property
    def rank(self) -> int:
        """Lower goes first."""
        return self.priority or LOWEST_PRIORITY


class BatchedExport(Export, frozen=True, kw_only=True):
    batch_interval_millis: Interval | None = None
    start_sequence_number: Sequence | None = None


class KinesisConfig(BatchedExport, frozen=True, kw_only=True):
    kinesis_stream_name: Annotated[str, Meta(min_length=1)]
    batch_size: Annotated[int, Meta(ge=1, le=500)] | None = None


class HTTPConfig(BatchedExport, frozen=True, kw_only=True):
    uri: Annotated[str, Meta(min_length=1)]
    batch_size: Annotated[int, Meta(ge=1, le=500)] | None = None
    export_format: ExportFormat | None = None


class IoTAnalyticsConfig(BatchedExport, frozen=True, kw_only=True):
    iot_channel: Annotated[str, Meta(min_length=1)]
    iot_msg_id_prefix: Annotated[str, Meta(max_length=32)] | None = None
    batch_size: Annotated[int, Meta(ge=1, le=100)] | None = None


class IoTSiteWiseConfig(BatchedExport, frozen=True, kw_only=True):
    batch_size: Annotated[int, Meta(ge=1, le=10)] | None = None


class S3Config(Export, frozen=True, kw_only=True):
    size_threshold_for_multipart_upload_bytes: Annotated[int, Meta(ge=5 * _MIB)] | None = None
    status_config: StatusConfig | None = None


class ExportDefinition(_Base, frozen=True, kw_only=True):
    http: list[HTTPConfig] | None = None
    iot_analytics: list[IoTAnalyticsConfig] | None = None
    kinesis: list[KinesisConfig] | None = None
    iot_sitewise: list[IoTSiteWiseConfig] | None = msgspec.field(default=None, name="IotSitewise")
    s3_task_executor: list[S3Config] | None = None

    def all(self) -> list[Export]:
        groups = (self.http, self.iot_analytics, self.kinesis, self.iot_sitewise, self.s3_task_executor)
        return [export for group in groups for export in group or ()]


class MessageStreamDefinition(_Base, frozen=True, kw_only=True, omit_defaults=False):
    """Sizes in bytes. An absent value is the default of the service."""

    name: Name
    strategy_on_full: StrategyOnFull
    max_size: Annotated[int, Meta(ge=1024, le=_LONG)] = 256 * _MIB
    stream_segment_size: Annotated[int, Meta(ge=1024, le=(1 << 31) - 1)] = 16 * _MIB
    time_to_live_millis: Interval | None = None
    persistence: Persistence = Persistence.FILE
    flush_on_write: bool = False
    export_definition: ExportDefinition | None = None

    @property
    def exports(self) -> list[Export]:
        return self.export_definition.all() if self.export_definition else []

    def wire(self) -> dict[str, Any]:
        """As a client decodes it: nothing that is None."""
        fields: dict[str, Any] = _present(msgspec.to_builtins(self))
        return fields


class Request(_Base, frozen=True, kw_only=True):
    request_id: RequestId


class ConnectRequest(Request, frozen=True, kw_only=True):
    protocol_version: str
    other_supported_protocol_versions: list[str] = []
    sdk_version: str = ""
    auth_token: str | None = None


class DefinitionRequest(Request, frozen=True, kw_only=True):
    definition: MessageStreamDefinition


class NameRequest(Request, frozen=True, kw_only=True):
    name: Name


class AppendRequest(Request, frozen=True, kw_only=True):
    name: Name
    payload: Annotated[bytes, Meta(min_length=1)]


class ReadOptions(_Base, frozen=True, kw_only=True):
    desired_start_sequence_number: Sequence = 0
    min_message_count: Annotated[int, Meta(ge=1, le=(1 << 31) - 1)] = 1
    max_message_count: Annotated[int, Meta(ge=1, le=(1 << 31) - 1)] | None = None
    read_timeout_millis: Annotated[int, Meta(ge=0, le=_MILLIS)] = 0


class ReadRequest(Request, frozen=True, kw_only=True):
    stream_name: Name
    read_messages_options: ReadOptions | None = None


def convert(value: dict[str, Any], type_: type[T]) -> T:
    """A request's map as its type; an absent field and None are the same. Raises StreamManagerError, InvalidRequest."""
    try:
        return msgspec.convert(_present(value), type_, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise StreamManagerError(ResponseStatus.INVALID_REQUEST, str(error)) from None


def check(definition: MessageStreamDefinition) -> None:
    """Raises StreamManagerError for what is wrong across fields."""
    if definition.stream_segment_size > definition.max_size:
        raise StreamManagerError(
            ResponseStatus.INVALID_REQUEST,
            f"streamSegmentSize {definition.stream_segment_size} is larger than maxSize {definition.max_size}",
        )
    names = [export.identifier for export in definition.exports]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StreamManagerError(ResponseStatus.INVALID_REQUEST, f"export identifier used twice: {', '.join(twice)}")


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _present(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_present(entry) for entry in value]
    return value
