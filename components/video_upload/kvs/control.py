"""The control plane: where a stream's media goes."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from edgeloop import clock, decode
from edgeloop.documents import encode
from edgeloop.errors import DecodeError
from video_upload.aws.credentials import CredentialSource, region, service_url
from video_upload.aws.http import Connection, Unreachable
from video_upload.aws.sigv4 import signed

EXPIRED: Final = ("ExpiredToken", "expired", "security token", "UnrecognizedClient", "InvalidClientTokenId")


class Refused(Exception):
    """The service said no. expired: other credentials may do; lasting: what a person has to mend."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.expired = status in (401, 403) and any(word in reason for word in EXPIRED)
        self.lasting = not self.expired and status in (400, 401, 403, 404)

    def line(self, stream: str) -> str:
        """What a person does about it."""
        if self.status == 404:
            return f"the stream {stream} does not exist: create it in Kinesis Video Streams, or name another"
        if self.status in (401, 403):
            return f"no right to stream {stream}: allow kinesisvideo:GetDataEndpoint and PutMedia to the device's role"
        if self.status in (429, 503) or "LimitExceeded" in self.reason:
            return f"Kinesis Video Streams holds back: HTTP {self.status}"
        return f"Kinesis Video Streams refuses stream {stream}: HTTP {self.status} {self.reason[:120]}"


class _Endpoint(msgspec.Struct):
    where: str = msgspec.field(name="DataEndpoint")


def data_endpoint(stream: str, credentials: CredentialSource) -> str:
    """Raises Refused, Unreachable, EdgeloopError."""
    url = f"{service_url('KINESIS_VIDEO', 'kinesisvideo')}/getDataEndpoint"
    body = encode({"StreamName": stream, "APIName": "PUT_MEDIA"})
    headers = signed(
        "POST", url, "kinesisvideo", region(), credentials.get(), headers={"content-type": "application/json"},
        body=body, time=clock.now(),
    )  # fmt: skip
    connection = Connection(url)
    try:
        status, answer = connection.request("POST", url, headers, body)
    finally:
        connection.close()
    if status != 200:
        raise Refused(status, " ".join(answer[:400].decode("utf-8", "replace").split()))
    try:
        found = decode.document(answer, _Endpoint, what="a data endpoint").where.rstrip("/")
    except DecodeError as error:
        raise Unreachable(f"its answer is not understood: {error.why}") from None
    if urlsplit(found).scheme not in ("http", "https"):
        raise Unreachable("its answer names no address")
    return found
