"""One camera's stream: fragments of the ring to PutMedia, each until it is persisted."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from edgeloop.durable import BackOff
from edgeloop.errors import EdgeloopError
from edgeloop.video.settings import Video
from video_upload.aws.credentials import CredentialSource
from video_upload.aws.http import Unreachable
from video_upload.kvs import matroska
from video_upload.kvs.acks import OF_FRAGMENT, ROTATE, Ack
from video_upload.kvs.control import Refused, data_endpoint
from video_upload.kvs.session import Session
from video_upload.packets.backlog import Backlog, Entry
from video_upload.packets.choice import Choice
from video_upload.packets.fragment import Fragment
from video_upload.packets.reading import read
from video_upload.packets.transport import NoVideo

ROTATION: Final = 35 * 60.0
"""s; AWS ends a connection at 45 min, and tokens live 40."""
QUIET: Final = 20.0
"""s without media after which the connection is closed by us; AWS does it at 30."""
PARTING: Final = 5.0
"""s that acknowledgements are waited for at a planned end."""
DEAF: Final = 30.0
"""s without a word while fragments wait for theirs."""
AHEAD: Final = 10
"""Fragments on their way at once."""
FULL: Final = 4 << 20
LARGEST: Final = 50 << 20
PERIOD: Final = 0.1
SAVED: Final = 1.0
LASTING: Final = 6
"""Failures that one counts as which a person has to mend."""


class Told(Protocol):
    """What a producer needs of the component."""

    def problem(self, key: str, line: str) -> None: ...

    def clear(self, key: str) -> None: ...

    def count(self, name: str, n: int = 1) -> None: ...

    def gauge(self, name: str, value: float) -> None: ...

    def log(self, line: str, **fields: Any) -> None: ...

    def unexpected(self, error: Exception) -> None: ...

    def lost(self, camera: str, first: int, last: int, why: str) -> None:
        """Pictures between two moments will not arrive."""
        ...


class Producer:
    """`start`, `event` from any thread, `close`."""

    def __init__(
        self, camera: str, video: Video, stream: str, ring: Path, folder: Path, credentials: CredentialSource,
        told: Told, *, rotation: float = ROTATION, deaf: float = DEAF,
        endpoint: Callable[[str, CredentialSource], str] = data_endpoint,
    ) -> None:  # fmt: skip
        """Raises OSError."""
        self._camera, self._video, self._stream, self._told = camera, video, stream, told
        self._credentials, self._locate = credentials, endpoint
        self._rotation, self._deaf = rotation, deaf
        self._backlog = Backlog(ring, folder, int(video.budget), self._lost)
        self._choice = Choice(video, self._backlog.spans)
        self._events: SimpleQueue[int] = SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"kvs-{camera}", daemon=True)
        self._session: Session | None = None
        self._where = ""
        self._kind: tuple[str, int, int, bytes] | None = None
        self._sent: OrderedDict[int, str] = OrderedDict()
        self._newest = -1
        self._refused: dict[str, int] = {}
        self._back = BackOff(0.5, 30.0)
        self._heard = self._fed = self._saved = time.monotonic()
        self._key = f"video.{camera}"

    def start(self) -> None:
        if self._backlog.damage:
            self._told.problem(f"{self._key}.cursor", self._backlog.damage)
        self._thread.start()

    def event(self, time: int) -> None:
        """Something happened at a moment, ns UTC."""
        self._events.put(time)

    def end(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(PARTING + 2.0)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._step()
            except Exception as error:
                self._told.unexpected(error)
                self._told.problem(self._key, f"{self._camera}: {type(error).__name__}: {error}")
                self._hang_up()
                self._back.failed()
                self._stop.wait(1.0)
        try:
            self._part()
            self._look()
            self._backlog.keep(everything=False)
            self._backlog.save()
        except Exception as error:
            self._told.unexpected(error)

    def _step(self) -> None:
        self._look()
        try:
            self._send()
        except Unreachable as error:
            self._failed(f"{self._camera}: the connection to Kinesis Video Streams is gone: {error.why}")
        except Refused as error:
            if error.expired:
                self._credentials.forget()
            self._failed(f"{self._camera}: {error.line(self._stream)}", lasting=error.lasting)
        except EdgeloopError as error:
            self._failed(f"{self._camera}: {error}")
        if self._session is None:
            self._stop.wait(PERIOD)

    def _look(self) -> None:
        """New segments, and what of them goes up."""
        for name, segment in self._backlog.fresh():
            self._choice.offer(name, segment)
        while True:
            try:
                self._choice.event(self._events.get_nowait())
            except Empty:
                break
        self._backlog.choose(self._choice)
        try:
            self._backlog.keep()
            if time.monotonic() - self._saved >= SAVED:
                self._saved = time.monotonic()
                self._backlog.save()
                self._told.gauge(f"video_backlog_bytes.{self._camera}", self._backlog.bytes)
            self._told.clear(f"{self._key}.disk")
        except OSError as error:
            line = f"{self._camera}: video that waits cannot be kept: {error.strerror}; free space on the disk"
            self._told.problem(f"{self._key}.disk", line)

    def _send(self) -> None:
        """One round with the connection. Raises Unreachable, Refused, EdgeloopError."""
        if not self._back.due:
            return
        waiting = [entry for entry in self._backlog.entries if entry.name not in self._sent.values()]
        session = self._session
        if session is not None and (session.age > self._rotation or time.monotonic() - self._fed > QUIET):
            self._part()
            session = None
        for entry in waiting[: max(0, AHEAD - len(self._sent))]:
            if self._session is not None and self._session.waiting > FULL:
                break
            if not self._offer(entry):
                break
        session = self._session
        if session is None:
            return
        for ack in session.pump(PERIOD):
            self._heard = time.monotonic()
            self._acknowledged(ack)
        answer = session.answer
        if answer.status not in (0, 200) and (answer.ended or time.monotonic() - self._fed > 1.0):
            raise Refused(answer.status, answer.reason)
        if answer.ended and self._session is session:
            raise Unreachable("the other side has closed it")
        if self._sent and time.monotonic() - max(self._heard, self._fed) > self._deaf:
            raise Unreachable(f"no word for {self._deaf:.0f} s")

    def _offer(self, entry: Entry) -> bool:
        """Onto the connection, a new one where it must be; False where those before it have to arrive first."""
        try:
            fragment = read(self._backlog.path(entry), entry.name, entry.segment, self._video)
            code, body = matroska.timecode(fragment), matroska.cluster(fragment)
            if len(body) > LARGEST:
                raise NoVideo("a fragment is too large", why=f"{len(body):,} B")
            if fragment.shuffled:
                raise NoVideo("the camera sends B-frames, which Kinesis Video Streams does not take",
                              mend="turn them off there, or say encode: h264")  # fmt: skip
        except (NoVideo, ValueError) as error:
            self._told.problem(f"{self._key}.segment", f"{self._camera}: {error}")
            self._told.count(f"video_unusable.{self._camera}")
            self._backlog.dropped(entry.name, str(error))
            return True
        except FileNotFoundError:
            self._backlog.dropped(entry.name, "the ring was too short")
            return True
        if self._session is not None and (fragment.kind != self._kind or code <= self._newest):
            if self._sent:
                return False
            self._part()
        if self._session is None:
            self._open(fragment)
        assert self._session is not None
        self._session.feed(body)
        self._sent[code] = entry.name
        self._newest, self._fed = code, time.monotonic()
        self._told.count(f"video_fragments.{self._camera}")
        self._told.count(f"video_bytes.{self._camera}", len(body))
        return True

    def _open(self, fragment: Fragment) -> None:
        if not self._where:
            self._where = self._locate(self._stream, self._credentials)
        self._session = Session(self._where, self._stream, fragment.begin, self._credentials)
        self._session.feed(matroska.header(fragment, self._camera))
        self._kind, self._newest = fragment.kind, -1
        self._heard = time.monotonic()
        self._told.count(f"video_connections.{self._camera}")

    def _acknowledged(self, ack: Ack) -> None:
        if ack.event_type == "PERSISTED":
            name = self._sent.pop(ack.fragment_timecode, None)
            if name is not None:
                self._backlog.arrived(name)
                self._refused.pop(name, None)
                self._told.count(f"video_persisted.{self._camera}")
                self._told.clear(self._key)
                self._told.clear(f"{self._key}.segment")
                self._back.succeeded()
        elif ack.event_type == "ERROR":
            self._erred(ack)

    def _erred(self, ack: Ack) -> None:
        """Raises Unreachable but for a connection that has only grown old."""
        if ack.error_id in ROTATE:
            self._part()
            return
        self._told.count(f"video_errors.{self._camera}")
        name = self._sent.get(ack.fragment_timecode)
        if name is not None and ack.error_id in OF_FRAGMENT:
            self._refused[name] = self._refused.get(name, 0) + 1
            if self._refused[name] > 1:
                del self._refused[name]
                self._backlog.dropped(name, f"Kinesis Video Streams refused it: {ack.error_id} {ack.error_code}")
        raise Unreachable(f"error {ack.error_id} {ack.error_code}".strip())

    def _failed(self, line: str, *, lasting: bool = False) -> None:
        self._hang_up()
        self._where = ""
        for _ in range(LASTING if lasting else 1):
            self._back.failed()
        self._told.problem(self._key, line)
        self._told.count(f"video_failures.{self._camera}")

    def _part(self) -> None:
        """Ends a connection in order: what was sent is waited for a little, and sent again where no word came."""
        session = self._session
        if session is None:
            return
        try:
            session.end()
            ends = time.monotonic() + PARTING
            while (self._sent or session.waiting) and time.monotonic() < ends and not session.answer.ended:
                for ack in session.pump(PERIOD):
                    if ack.event_type == "PERSISTED":
                        self._acknowledged(ack)
        except Unreachable:
            pass
        self._hang_up()

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session, self._kind, self._newest = None, None, -1
        self._sent.clear()

    def _lost(self, first: int, last: int, why: str) -> None:
        self._told.count(f"video_dropped.{self._camera}")
        self._told.lost(self._camera, first, last, why)
