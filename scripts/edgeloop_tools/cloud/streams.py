"""A local Kinesis Video Streams: the control plane, PutMedia with acknowledgements, GetMedia. It speaks what AWS's
public producers in C and Java speak, and refuses what they are told is refused; it is not AWS."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from edgeloop import clock
from edgeloop.decode import document
from edgeloop.errors import DecodeError
from edgeloop_tools.cloud.matroska import Cluster, Header, Malformed, Parser
from edgeloop_tools.harness.loopback import Loopback

LONGEST_MS: Final = 10_000
LARGEST: Final = 50 << 20
CODECS: Final = {"V_MPEG4/ISO/AVC", "V_MPEGH/ISO/HEVC"}


@dataclass(slots=True)
class Stored:
    """A fragment. number: rises; producer, server: ms since 1970; head: bytes before its cluster."""

    number: str
    producer: int
    server: int
    path: Path
    head: int
    frames: int
    size: int

    def read(self) -> bytes:
        """Header and cluster."""
        return self.path.read_bytes()


@dataclass(slots=True)
class Faults:
    """What goes wrong, asked for each fragment or request; changed while it runs."""

    cut: Callable[[int], bool] = lambda count: False
    """Whether the connection is reset when the fragment of this count begins."""
    error: Callable[[int], int] = lambda count: 0
    """An error of a fragment, instead of it being kept."""
    delay: Callable[[int], float] = lambda count: 0.0
    """s before a fragment is persisted."""
    mute: Callable[[int], bool] = lambda count: False
    """Whether it is kept and nobody is told."""
    status: Callable[[str], tuple[int, str]] = lambda operation: (200, "")
    """Of an operation, as HTTP status and the name of the error."""
    longest: float = 45 * 60.0
    """s that a connection lives: error 4003."""


@dataclass(slots=True)
class Stream:
    fragments: list[Stored] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class Streams:
    """As a context manager. verify(method, path, headers): why a request's signature is refused, or nothing."""

    def __init__(
        self, folder: Path, *, create: bool = True,
        verify: Callable[[str, str, dict[str, str], bytes], str] | None = None,
    ) -> None:  # fmt: skip
        self._folder, self._create, self._verify = folder, create, verify
        self.faults = Faults()
        self.streams: dict[str, Stream] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.count = 0
        self.connections = 0
        self.malformed: list[str] = []
        self._lock = threading.Lock()
        self._server = Loopback(self._answer)
        self.url = self._server.url
        self._stop = threading.Event()

    def __enter__(self) -> Streams:
        self._server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.__exit__()

    def create(self, name: str) -> Stream:
        with self._lock:
            return self.streams.setdefault(name, Stream())

    def fragments(self, name: str) -> list[Stored]:
        with self._lock:
            stream = self.streams.get(name)
            return list(stream.fragments) if stream else []

    # -- inside --------------------------------------------------------------------------------------------------------

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        operation = request.path.strip("/")
        with self._lock:
            self.requests.append((operation, headers))
        streams = operation == "putMedia"
        body = b"" if streams else request.rfile.read(int(headers.get("content-length") or 0))
        status, error = self.faults.status(operation)
        if status == 200 and self._verify is not None and (why := self._verify("POST", request.path, headers, body)):
            status, error = 403, why
        name = headers.get("x-amzn-stream-name", "")
        asked: dict[str, Any] = {}
        if status == 200 and not streams:
            try:
                asked = document(body or b"{}", dict[str, Any])
                name = str(asked.get("StreamName", ""))
            except DecodeError:
                status, error = 400, "InvalidArgumentException"
        if status == 200 and (self._create or operation == "createStream"):
            self.create(name)
        if status == 200 and name not in self.streams:
            status, error = 404, "ResourceNotFoundException"
        if status != 200:
            self._json(request, status, {"__type": error, "Message": error})
            request.close_connection = True
        elif operation == "getDataEndpoint":
            self._json(request, 200, {"DataEndpoint": self.url})
        elif operation in ("createStream", "describeStream"):
            arn = f"arn:aws:kinesisvideo:local:0:stream/{name}/0"
            about = {"StreamName": name, "Status": "ACTIVE", "StreamARN": arn}
            self._json(request, 200, about if operation == "createStream" else {"StreamInfo": about})
        elif operation == "putMedia":
            self._put(request, self.streams[name], name)
            request.close_connection = True
        elif operation == "getMedia":
            self._get(request, self.streams[name], asked.get("StartSelector", {}))
            request.close_connection = True
        else:
            self._json(request, 404, {"__type": "UnknownOperationException"})

    def _json(self, request: BaseHTTPRequestHandler, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        request.send_response_only(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def _put(self, request: BaseHTTPRequestHandler, stream: Stream, name: str) -> None:
        with self._lock:
            self.connections += 1
        begun = time.monotonic()
        request.send_response_only(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        parser, header, newest, inside = Parser(), Header(), -1, False
        try:
            for chunk in _chunks(request.rfile):
                for part in parser.feed(chunk):
                    if isinstance(part, Header):
                        header = part
                        self._tracks(header)
                    elif isinstance(part, Cluster):
                        newest = self._fragment(request, stream, name, header, part, newest)
                        inside = False
                if parser.inside and not inside:
                    inside = True
                    if self.faults.cut(self.count):
                        self.count += 1
                        raise ConnectionError
                if time.monotonic() - begun > self.faults.longest:
                    self._say(request, "ERROR", newest, error=4003, code="MAX_CONNECTION_DURATION")
                    return
            for part in parser.end():
                if isinstance(part, Cluster):
                    newest = self._fragment(request, stream, name, header, part, newest)
            request.wfile.write(b"0\r\n\r\n")
        except _Error as error:
            self.malformed.append(str(error))
            self._say(request, "ERROR", error.timecode, error=error.id, code=str(error))
        except Malformed as error:
            self.malformed.append(str(error))
            self._say(request, "ERROR", newest, error=4006, code=f"INVALID_MKV_DATA {error}")
        except OSError:
            return

    def _tracks(self, header: Header) -> None:
        if len(header.tracks) != 1:
            raise _Error(4010, -1, f"{len(header.tracks)} tracks")
        track = header.tracks[0]
        if track.codec not in CODECS:
            raise _Error(4011, -1, f"codec {track.codec}")
        if not track.private or track.private[0] != 1:
            raise _Error(4012, -1, "no codec private data")

    def _fragment(
        self, request: BaseHTTPRequestHandler, stream: Stream, name: str, header: Header, cluster: Cluster, newest: int
    ) -> int:
        """The cluster's time, ms. Raises _Error."""
        code = cluster.timecode * header.scale // 1_000_000
        with self._lock:
            count, self.count = self.count, self.count + 1
        if not cluster.blocks or not cluster.blocks[0].key:
            raise _Error(4006, code, "a fragment begins without a key frame")
        if code <= newest:
            raise _Error(4004, code, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS")
        if len(cluster.raw) > LARGEST:
            raise _Error(4001, code, "MAX_FRAGMENT_SIZE_REACHED")
        times = [block.time * header.scale // 1_000_000 for block in cluster.blocks]
        if max(times) - min(times) > LONGEST_MS:
            raise _Error(4002, code, "MAX_FRAGMENT_DURATION_REACHED")
        if times != sorted(times):
            raise _Error(4004, code, "frames are not in the order they are shown")
        self._say(request, "BUFFERING", code)
        if wrong := self.faults.error(count):
            raise _Error(wrong, code, "as told")
        self._say(request, "RECEIVED", code)
        if pause := self.faults.delay(count):
            time.sleep(pause)
        number = f"{clock.now():020d}{count:09d}"
        path = self._folder / name / f"{number}.mkv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header.raw + cluster.raw)
        frames, size = len(cluster.blocks), len(cluster.raw)
        stored = Stored(number, code, clock.now() // 1_000_000, path, len(header.raw), frames, size)
        with stream.changed:
            stream.fragments.append(stored)
            stream.changed.notify_all()
        if not self.faults.mute(count):
            self._say(request, "PERSISTED", code, number=number)
        return code

    def _say(
        self, request: BaseHTTPRequestHandler, event: str, timecode: int, *, number: str = "", error: int = 0,
        code: str = "",
    ) -> None:  # fmt: skip
        said: dict[str, Any] = {"EventType": event, "FragmentTimecode": timecode}
        if number:
            said["FragmentNumber"] = number
        if error:
            said |= {"ErrorId": error, "ErrorCode": code}
        body = json.dumps(said).encode() + b"\r\n"
        request.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")

    def _get(self, request: BaseHTTPRequestHandler, stream: Stream, selector: dict[str, Any]) -> None:
        kind = selector.get("StartSelectorType", "NOW")
        after = str(selector.get("AfterFragmentNumber", ""))
        with stream.changed:
            position = len(stream.fragments) if kind == "NOW" else 0
            if kind == "FRAGMENT_NUMBER":
                position = sum(fragment.number <= after for fragment in stream.fragments)
        request.send_response_only(200)
        request.send_header("Content-Type", "video/webm")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            while not self._stop.is_set():
                with stream.changed:
                    if position >= len(stream.fragments):
                        stream.changed.wait(0.5)
                    ready = stream.fragments[position : position + 1]
                for fragment in ready:
                    data = _tagged(fragment)
                    request.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
                    position += 1
        except OSError:
            return


class _Error(Exception):
    """Of a fragment, as PutMedia numbers it."""

    def __init__(self, id: int, timecode: int, words: str) -> None:
        super().__init__(words)
        self.id, self.timecode = id, timecode


def _chunks(stream: Any) -> Any:
    """Of a chunked request. Raises ConnectionError where it breaks off."""
    while True:
        line = stream.readline(64)
        if not line.endswith(b"\r\n"):
            raise ConnectionError
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return
        left = size
        while left:
            data = stream.read1(min(left, 1 << 16))
            if not data:
                raise ConnectionError
            left -= len(data)
            yield data
        stream.readline(4)


def _tagged(fragment: Stored) -> bytes:
    """A fragment as GetMedia sends it: with tags before its cluster."""
    raw, at = fragment.read(), fragment.head
    tags = {
        "AWS_KINESISVIDEO_FRAGMENT_NUMBER": fragment.number,
        "AWS_KINESISVIDEO_SERVER_TIMESTAMP": f"{fragment.server / 1000:.3f}",
        "AWS_KINESISVIDEO_PRODUCER_TIMESTAMP": f"{fragment.producer / 1000:.3f}",
    }
    simple = b"".join(
        _element(b"\x67\xc8", _element(b"\x45\xa3", k.encode()) + _element(b"\x44\x87", v.encode()))
        for k, v in tags.items()
    )
    return raw[:at] + _element(b"\x12\x54\xc3\x67", _element(b"\x73\x73", simple)) + raw[at:]


def _element(number: bytes, body: bytes) -> bytes:
    return number + (len(body) | 1 << 28).to_bytes(4, "big") + body
