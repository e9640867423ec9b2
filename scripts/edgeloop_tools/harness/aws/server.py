"""One HTTP server for all services: told apart by what their requests are signed for."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgeloop_tools.harness.aws.model import Call, Wrong, service
from edgeloop_tools.harness.aws.state import Refusal, State

_SCOPE = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Request:
    """operation: for S3 the HTTP method. params: for S3 the path."""

    service: str
    operation: str
    params: dict[str, Any]


@dataclass(slots=True)
class Fault:
    """What happens instead of an answer, `times` times, after the first `after` of these requests: an error `code` with
    `status`, or the connection is dropped (`done`: after the request took effect)."""

    service: str
    operation: str
    code: str = ""
    status: int = 400
    message: str = "injected"
    times: int = 1
    after: int = 0
    drop: bool = False
    done: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    matching: Callable[[Request], bool] = lambda _: True

    def strikes(self, request: Request) -> bool:
        if (self.service, self.operation) != (request.service, request.operation) or not self.matching(request):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Cloud:
    """url: for every AWS_ENDPOINT_URL_*. backend: host and port of an S3 that keeps the objects. `wrong` collects what
    the service models do not allow; such a request is refused too."""

    def __init__(self, backend: str, region: str = "eu-central-1") -> None:
        self.backend, self.region = backend, region
        self.requests: list[Request] = []
        self.wrong: list[str] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.state = State(region, self._object)
        self.services = {"greengrass": service("greengrassv2"), "iot": service("iot")}
        cloud = self

        class Handler(_Handler):
            pass

        Handler.cloud = cloud
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def environment(self) -> dict[str, str]:
        """For a process whose boto3 is to talk to this cloud."""
        urls = {f"AWS_ENDPOINT_URL_{name}": self.url for name in ("GREENGRASSV2", "IOT", "STS", "S3")}
        return urls | {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
                       "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region, "AWS_MAX_ATTEMPTS": "2",
                       "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null",
                       "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "NO_PROXY": "127.0.0.1"}  # fmt: skip

    def fail(self, service: str, operation: str, **how: Any) -> Fault:
        fault = Fault(service, operation, **how)
        with self.lock:
            self.faults.append(fault)
        return fault

    def count(self, operation: str) -> int:
        return sum(request.operation == operation for request in self.requests)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _object(self, bucket: str, key: str) -> bytes | None:
        scope = "Credential=A/20260101/x/s3/aws4_request, SignedHeaders=, Signature=0"
        signed = {"Authorization": f"AWS4-HMAC-SHA256 {scope}"}
        status, _, body = self.forward("GET", f"/{bucket}/{key}", signed, b"")
        return body if status == 200 else None

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the S3 that keeps the objects."""
        host = urlsplit(self.backend).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(method, path, body or None, headers | {"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    cloud: Cloud
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    _body: bytes

    def log_message(self, format: str, *args: Any) -> None:
        del format, args

    def handle_expect_100(self) -> bool:
        told = super().handle_expect_100()
        self.wfile.flush()
        return told

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def _handle(self) -> None:
        self._body = self._read_body()
        scope = _SCOPE.search(self.headers.get("Authorization", ""))
        service = scope[3] if scope else "unsigned"
        if service == "s3":
            self._s3()
            return
        try:
            call = self._call(service)
        except Wrong as error:
            with self.cloud.lock:
                self.cloud.wrong.append(str(error))
            self._error(service, 400, "ValidationException", str(error))
            return
        request = Request(service, call.operation, call.params)
        fault = self._recorded(request)
        if fault and not fault.done:
            self._strike(service, fault)
            return
        if scope and scope[2] != self.cloud.region:
            self._error(service, 403, "AccessDeniedException", f"nothing here in {scope[2]}")
            return
        try:
            with self.cloud.lock:
                value = self.cloud.state.call(call.service, call.operation, call.params)
                if service == "sts":
                    status, body = 200, _xml(value)
                else:
                    status, body = self.cloud.services[service].answer(call.operation, value)
        except Refusal as refusal:
            self._error(service, self.cloud.services[service].status_of(refusal.code), refusal.code, str(refusal))
            return
        except AssertionError as error:
            with self.cloud.lock:
                self.cloud.wrong.append(str(error))
            self._error(service, 500, "InternalServerException", str(error))
            return
        if fault:
            self._strike(service, fault)
            return
        self._send(status, body, [("Content-Type", "text/xml" if service == "sts" else "application/json")])

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _handle

    def _call(self, service: str) -> Call:
        if service == "sts":
            asked = {key: values[0] for key, values in parse_qs(self._body.decode()).items()}
            if asked.get("Action") != "GetCallerIdentity" or set(asked) - {"Action", "Version"}:
                raise Wrong(f"STS: {asked}")
            return Call("sts", "GetCallerIdentity", {})
        known = self.cloud.services.get(service)
        call = known.read(self.command, self.path, dict(self.headers), self._body) if known else None
        if call is None:
            raise Wrong(f"{service}: {self.command} {self.path} is no operation")
        return call

    def _recorded(self, request: Request) -> Fault | None:
        with self.cloud.lock:
            self.cloud.requests.append(request)
            return next((fault for fault in self.cloud.faults if fault.strikes(request)), None)

    def _strike(self, service: str, fault: Fault) -> None:
        if fault.drop:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._error(service, fault.status, fault.code, fault.message, fault.headers)

    def _s3(self) -> None:
        owner = self.headers.get("x-amz-expected-bucket-owner", "")
        request = Request("s3", self.command, {"path": self.path, "owner": owner})
        fault = self._recorded(request)
        if fault and not fault.done:
            self._strike("s3", fault)
            return
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "expect")}
        status, given, body = self.cloud.forward(self.command, self.path, headers, self._body)
        if fault:
            self._strike("s3", fault)
            return
        kept = [(k, v) for k, v in given if k.lower() not in ("connection", "transfer-encoding", "date", "server")]
        self._send(status, body, kept)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            found = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                continue
            return found
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _error(self, service: str, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        if service in ("s3", "sts"):
            inner = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            body = inner if service == "s3" else f"<ErrorResponse>{inner}<RequestId>1</RequestId></ErrorResponse>"
            extra = [("Content-Type", "application/xml")]
            data = body.encode()
        else:
            extra = [("Content-Type", "application/json"), ("x-amzn-ErrorType", code)]
            data = json.dumps({"message": message}).encode()
        self._send(status, data, [*extra, *(headers or {}).items()])

    def _send(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        if not any(name.lower() == "content-length" for name, _ in headers):
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _xml(value: dict[str, Any]) -> bytes:
    fields = "".join(f"<{key}>{text}</{key}>" for key, text in value.items())
    return (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        f"{fields}</GetCallerIdentityResult></GetCallerIdentityResponse>"
    ).encode()
