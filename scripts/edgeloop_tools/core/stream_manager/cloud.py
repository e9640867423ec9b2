"""S3 and Kinesis through boto3, with faults put in where a request would leave this machine."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import random
import socket
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
from boto3.s3.transfer import TransferConfig
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from edgeloop.errors import EdgeloopError

log = logging.getLogger("edgeloop.core.stream_manager")

AWS = "aws"
"""An endpoint URL that means AWS itself."""

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LOCAL_KEYS = {"aws_access_key_id": "LOCALCOREHASNOKEY", "aws_secret_access_key": "local-core-has-no-secret"}
_START = 30.0
"""Seconds that a local endpoint has to start."""

_PART = 8 << 20
"""Bytes of a part of a multipart upload."""

_THROTTLED = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "injected"}
_REFUSED = "edgeloop_refused"

T = TypeVar("T")

_RETRYABLE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InternalError",
        "InternalFailure",
        "KMSThrottlingException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


class Fault:
    """How often it strikes still; None is always. share: of the records of a request."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.code = str(arguments.get("code", "AccessDenied"))
        self.share = float(arguments.get("share", 1))
        self._left = None if arguments.get("times") is None else int(arguments["times"])

    def strikes(self) -> bool:
        if self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Cloud:
    """`endpoint` is a URL, or `aws`. Clients are made on first use; they may be used from several threads.

    create: make a bucket or a Kinesis stream that is not there, as the local endpoint starts empty.
    """

    def __init__(self, endpoint: str, region: str, *, create: bool) -> None:
        self.endpoint, self.create = endpoint, create
        self.on_recovery: Callable[[], None] = lambda: None
        self._region = region
        self._faults: dict[str, Fault] = {}
        self._local = endpoint != AWS and urlsplit(endpoint).hostname in _LOOPBACK

    def fault(self, kind: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """`s3_refuse` (code, times), `kinesis_throttle` (share, times), `offline`; on=False ends it. What waits for a
        retry tries at once when a fault ends. Raises EdgeloopError."""
        if kind not in ("s3_refuse", "kinesis_throttle", "offline"):
            raise EdgeloopError(f"unknown fault {kind}", mend="s3_refuse, kinesis_throttle or offline")
        if arguments.get("on", True):
            self._faults[kind] = Fault(arguments)
        elif self._faults.pop(kind, None):
            self.on_recovery()
        return {"active": sorted(self._faults)}

    async def reachable(self) -> None:
        """Returns once a local endpoint listens, or after half a minute."""
        if not self._local:
            return
        where = urlsplit(self.endpoint)
        try:
            async with asyncio.timeout(_START):
                while not await _listens(where.hostname or "", where.port or 80):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            log.warning("nothing listens at %s", self.endpoint)

    @cached_property
    def s3(self) -> Any:
        return self._client("s3", {"before-send.s3": self._before_s3})

    @cached_property
    def kinesis(self) -> Any:
        return self._client(
            "kinesis",
            {
                "before-send.kinesis": self._before_kinesis,
                "before-parameter-build.kinesis.PutRecords": self._hold_back,
                "after-call.kinesis.PutRecords": self._add_refused,
            },
        )

    def upload(self, descriptor: int, bucket: str, key: str, metadata: dict[str, str], threshold: int) -> None:
        """A file, in parts where it is larger than `threshold` bytes. Raises what boto3 raises."""
        transfer = TransferConfig(multipart_threshold=threshold + 1, multipart_chunksize=_PART, use_threads=False)

        def put() -> None:
            with os.fdopen(os.dup(descriptor), "rb") as file:
                file.seek(0)
                self.s3.upload_fileobj(file, bucket, key, ExtraArgs={"Metadata": metadata}, Config=transfer)

        def make() -> None:
            there = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
            self.s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": there} if there else {}))

        self._creating(put, make)

    def put_records(self, stream: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The result of each record: with ErrorCode where Kinesis refused it. Raises what boto3 raises."""

        def put() -> list[dict[str, Any]]:
            answer: list[dict[str, Any]] = self.kinesis.put_records(StreamName=stream, Records=records)["Records"]
            return answer

        return self._creating(put, lambda: self.kinesis.create_stream(StreamName=stream, ShardCount=1))

    def _creating(self, request: Callable[[], T], make: Callable[[], Any]) -> T:
        try:
            return request()
        except botocore.exceptions.ClientError as error:
            if not self.create or code_of(error) not in ("NoSuchBucket", "ResourceNotFoundException"):
                raise
        try:
            make()
        except botocore.exceptions.ClientError as error:
            if code_of(error) not in ("BucketAlreadyOwnedByYou", "ResourceInUseException"):
                raise
        return request()

    def _client(self, service: str, handlers: Mapping[str, Callable[..., Any]]) -> Any:
        own: dict[str, Any] = {}
        if self._local and not os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            own = dict(_LOCAL_KEYS)
        config = Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
            proxies={} if self._local else None,
            s3={"addressing_style": "path"} if self.endpoint != AWS else None,
        )
        url = None if self.endpoint == AWS else self.endpoint
        session: Any = boto3.Session(region_name=self._region)
        made = session.client(service, endpoint_url=url, config=config, **own)
        for event, handler in handlers.items():
            made.meta.events.register_first(event, handler)
        return made

    def _before_s3(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        self._check_network(request)
        fault = self._faults.get("s3_refuse")
        if fault is None or request.method not in ("PUT", "POST") or not fault.strikes():
            return None
        status = 503 if fault.code in _RETRYABLE else 403
        body = f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>"
        return _response(request, status, body, "application/xml")

    def _before_kinesis(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse | None:
        self._check_network(request)
        fault = self._faults.get("kinesis_throttle")
        if fault is None or fault.share < 1 or not _is_put_records(request) or not fault.strikes():
            return None
        body = json.dumps({"__type": _THROTTLED["ErrorCode"], "message": _THROTTLED["ErrorMessage"]})
        return _response(request, 400, body, "application/x-amz-json-1.1")

    def _hold_back(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        """Kinesis refuses some records of a request: they do not leave."""
        fault = self._faults.get("kinesis_throttle")
        if fault is not None and fault.share < 1 and fault.strikes():
            refused = [random.random() < fault.share for _ in params["Records"]]
            if not all(refused):
                context[_REFUSED] = refused
                kept = zip(params["Records"], refused, strict=True)
                params["Records"] = [record for record, is_refused in kept if not is_refused]

    def _add_refused(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        refused = context.pop(_REFUSED, None)
        if refused and "Records" in parsed:
            taken = iter(parsed["Records"])
            parsed["Records"] = [dict(_THROTTLED) if is_refused else next(taken) for is_refused in refused]
            parsed["FailedRecordCount"] = sum(refused)

    def _check_network(self, request: AWSPreparedRequest) -> None:
        if "offline" in self._faults:
            raise botocore.exceptions.EndpointConnectionError(endpoint_url=request.url, error="offline")


def code_of(error: botocore.exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def retryable(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, botocore.exceptions.ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
        return status >= 500 or status == 429 or code_of(error) in _RETRYABLE
    return isinstance(error, botocore.exceptions.BotoCoreError) and not isinstance(
        error, (botocore.exceptions.ParamValidationError, botocore.exceptions.ValidationError)
    )


def describe(error: Exception) -> str:
    """One line.

    >>> describe(botocore.exceptions.ClientError({"Error": {"Code": "NoSuchBucket", "Message": "none"}}, "PutObject"))
    'NoSuchBucket: none'
    """
    if isinstance(error, botocore.exceptions.ClientError):
        return f"{code_of(error)}: {error.response.get('Error', {}).get('Message', '')}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(f"{type(error).__name__}: {error}".split())


class _Raw(io.BytesIO):
    def stream(self, amount: int = 65536, decode_content: bool = False) -> Iterator[bytes]:
        yield self.read()


def _is_put_records(request: AWSPreparedRequest) -> bool:
    target = request.headers.get("X-Amz-Target", "")
    return (target if isinstance(target, str) else target.decode()).endswith(".PutRecords")


def _response(request: AWSPreparedRequest, status: int, body: str, content_type: str) -> AWSResponse:
    headers: Any = {"Content-Type": content_type}
    return AWSResponse(request.url, status, headers, _Raw(body.encode()))


async def _listens(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
    except OSError:
        return False
    writer.close()
    return True
