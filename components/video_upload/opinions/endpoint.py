"""The model that is asked, over kept connections."""

from __future__ import annotations

import threading
from typing import Final

from edgeloop import clock
from edgeloop.opinions.settings import Opinion
from video_upload.aws.credentials import CredentialSource, region, service_url
from video_upload.aws.http import Connection, Unreachable
from video_upload.aws.sigv4 import signed

FORM: Final = "image/jpeg"
ABOUT: Final = "x-amzn-sagemaker-custom-attributes"
_EXPIRED: Final = (b"ExpiredToken", b"security token", b"InvalidClientTokenId", b"UnrecognizedClient")


class Failed(Exception):
    """No opinion came. down: whether the endpoint as such is at fault, so that asking it again at once is in vain."""

    def __init__(self, why: str, *, down: bool, late: bool = False) -> None:
        super().__init__(why)
        self.why, self.down, self.late = why, down, late


class Endpoint:
    """Safe on any thread; as many connections as calls at once, kept for the next ones."""

    def __init__(self, opinion: Opinion, credentials: CredentialSource) -> None:
        self._opinion, self._credentials = opinion, credentials
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    @property
    def name(self) -> str:
        """Without what stands behind a question mark."""
        return self._opinion.endpoint.partition("?")[0]

    def call(self, picture: bytes, timeout: float, about: str = "") -> bytes:
        """The answer to a JPEG. timeout: s; about: what it is of, in SageMaker's own header for that.

        Raises Failed, and EdgeloopError where the device lacks what it needs.
        """
        url = self._url()
        for again in (True, False):
            status, body = self._send(url, picture, timeout, about)
            if again and status in (401, 403) and self._opinion.remote and any(word in body for word in _EXPIRED):
                self._credentials.forget()
                continue
            if status == 200:
                return body
            raise Failed(_refusal(status, body), down=status in (401, 403, 404, 408, 424, 429) or status >= 500)
        raise AssertionError

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _url(self) -> str:
        if not self._opinion.remote:
            return self._opinion.endpoint
        return f"{service_url('SAGEMAKER_RUNTIME', 'runtime.sagemaker')}/endpoints/{self._opinion.endpoint}/invocations"

    def _send(self, url: str, picture: bytes, timeout: float, about: str) -> tuple[int, bytes]:
        headers = {"content-type": FORM, "accept": "application/json", ABOUT: about}
        if self._opinion.remote:
            headers = signed(
                "POST", url, "sagemaker", region(), self._credentials.get(), headers=headers, body=picture,
                time=clock.now(),
            )  # fmt: skip
        with self._lock:
            connection = self._idle.pop() if self._idle else Connection(url)
        try:
            found = connection.request("POST", url, headers, picture, timeout=timeout)
        except Unreachable as error:
            raise Failed(error.why, down=True, late=error.late) from None
        finally:
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                else:
                    connection.close()
        return found


def _refusal(status: int, body: bytes) -> str:
    """
    >>> _refusal(503, b'{"message": "try later"}')
    'HTTP 503: {"message": "try later"}'
    """
    text = " ".join(body[:120].decode("utf-8", "replace").split())
    return f"HTTP {status}: {text}" if text else f"HTTP {status}"
