"""The desk: pictures in from the bus, opinions out on it, each answered once, whatever becomes of the endpoint."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Final

from edgeloop import clock, decode, topics
from edgeloop.component import App
from edgeloop.durable import BackOff
from edgeloop.errors import DecodeError, EdgeloopError
from edgeloop.opinions.messages import Answer, Ask, Refused, folder
from edgeloop.opinions.settings import Opinion
from edgeloop.queue.folder import is_file_name
from video_upload.aws.credentials import CredentialSource
from video_upload.opinions.allowance import Allowance
from video_upload.opinions.endpoint import Endpoint, Failed
from video_upload.opinions.reading import opinion as read

WAITING: Final = 64
FAILURES: Final = 5
"""Calls in a row that fail before nobody calls for a while."""
SHORTEST, LONGEST = 1.0, 30.0
LARGEST: Final = 6 << 20
"""Bytes of a picture; SageMaker takes no more in one call."""
USED_UP: Final = 60_000
"""ms for which asking is in vain where a budget is used up."""
PATIENCE: Final = 60.0
"""s that a call may take at most, be the asker ever so patient."""


@dataclass(slots=True)
class Counter:
    """One camera's desk: its own endpoint, breaker and threads."""

    opinion: Opinion
    endpoint: Endpoint
    waiting: Queue[Ask | None]
    back: BackOff
    threads: list[threading.Thread]
    failed: int = 0
    trying: bool = False


class Desk:
    """`apply` from any thread."""

    def __init__(self, app: App[Any], credentials: CredentialSource) -> None:
        self._app, self._credentials = app, credentials
        self._lock = threading.Lock()
        self._counters: dict[str, Counter] = {}
        self.allowance = Allowance(app.work / "opinions.json")
        if self.allowance.damage:
            app.health.problem("opinions.budget", self.allowance.damage)
        self._publish: Callable[[str, Any], bool] = app.bus.publish_document

    def start(self) -> None:
        self._app.bus.subscribe(topics.ask("+"), self._asked)

    def apply(self, opinions: Mapping[str, Opinion]) -> None:
        """By camera."""
        with self._lock:
            gone = {id: c for id, c in self._counters.items() if opinions.get(id) != c.opinion}
            for id in gone:
                del self._counters[id]
            for id, opinion in opinions.items():
                if id not in self._counters:
                    self._counters[id] = self._open(id, opinion)
        for id, counter in gone.items():
            self._close(counter)
            self._app.health.clear_below(f"opinion.{id}")

    def close(self) -> None:
        self.apply({})
        self.save()

    def save(self) -> None:
        try:
            self.allowance.save()
            self._app.health.clear("opinions.budget.file")
        except OSError as error:
            line = f"what second opinions have cost cannot be written down: {error.strerror}; free space on the disk"
            self._app.health.problem("opinions.budget.file", line)

    def gauges(self) -> dict[str, float]:
        with self._lock:
            ids = list(self._counters)
        found: dict[str, float] = {}
        for id in ids:
            spent = self.allowance.spent(id)
            found |= {
                f"opinions_day.{id}": spent.pictures, f"opinions_bytes_day.{id}": spent.bytes,
                f"opinions_money_day.{id}": round(spent.money, 4),
            }  # fmt: skip
        return found

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, id: str, opinion: Opinion) -> Counter:
        counter = Counter(opinion, Endpoint(opinion, self._credentials), Queue(WAITING), BackOff(SHORTEST, LONGEST), [])
        counter.threads = [
            threading.Thread(target=self._run, args=(id, counter), name=f"opinion-{id}-{k}", daemon=True)
            for k in range(opinion.connections)
        ]
        for thread in counter.threads:
            thread.start()
        return counter

    def _close(self, counter: Counter) -> None:
        try:
            while True:
                counter.waiting.get_nowait()
        except Empty:
            pass
        for _ in counter.threads:
            counter.waiting.put(None)
        counter.endpoint.close()
        for thread in counter.threads:
            thread.join(0.2)

    def _asked(self, topic: str, payload: bytes) -> None:
        try:
            ask = decode.document(payload, Ask, what="a picture to be judged", where=topic)
        except DecodeError as error:
            self._app.health.problem("opinions.ask", str(error))
            self._app.health.count("asks_damaged")
            return
        self._app.health.clear("opinions.ask")
        with self._lock:
            counter = self._counters.get(ask.camera)
        if counter is None:
            self._refuse(ask, "not configured", "this camera has no opinion in VideoUpload's configuration", 5_000)
            return
        with self._lock:
            idle = counter.back.due
        if not idle:
            self._refuse(ask, "offline", "the endpoint does not answer", int(counter.back.left * 1000) + 1)
            return
        try:
            counter.waiting.put_nowait(ask)
        except Full:
            self._refuse(ask, "late", "too many pictures wait for the endpoint")

    def _run(self, id: str, counter: Counter) -> None:
        while (ask := counter.waiting.get()) is not None:
            try:
                self._serve(id, counter, ask)
            except Exception as error:
                self._app.log.exception(error)
                self._refuse(ask, "error", f"{type(error).__name__}: {error}")

    def _serve(self, id: str, counter: Counter, ask: Ask) -> None:
        left = (ask.due - clock.elapsed()) / clock.NS
        if left <= 0:
            self._refuse(ask, "late", "its time was over before it was sent")
            return
        if not self._may_try(counter):
            self._refuse(ask, "offline", "the endpoint does not answer", int(counter.back.left * 1000) + 1)
            return
        try:
            picture = self._picture(ask)
            if used := self.allowance.take(id, counter.opinion, len(picture)):
                line = f"{id}: no second opinions for now: the day's {used} are used up"
                self._app.health.problem(f"opinion.{id}.budget", line)
                self._refuse(ask, "budget", f"the day's {used} are used up", USED_UP)
                self._tried(id, counter, None)
                return
            self._app.health.clear(f"opinion.{id}.budget")
            begun = time.monotonic()
            answer = counter.endpoint.call(picture, min(left, PATIENCE), f"camera={id},id={ask.id}")
            took = (time.monotonic() - begun) * 1000
            self._app.health.count(f"opinion_calls.{id}")
            said, boxes = read(answer, counter.opinion.labels.replace(",", " ").split())
        except Failed as error:
            self._tried(id, counter, error.why if error.down else None)
            self._app.health.count(f"opinion_failures.{id}")
            if not error.down:
                self._app.health.problem(f"opinion.{id}", f"{id}: {counter.endpoint.name}: {error.why}")
            self._refuse(ask, "late" if error.late else "error", error.why)
            return
        except EdgeloopError as error:
            self._tried(id, counter, None)
            self._app.health.count(f"opinion_failures.{id}")
            self._app.health.problem(f"opinion.{id}", f"{id}: {error}")
            self._refuse(ask, "unreadable" if "answer" in error.what else "error", str(error))
            return
        self._tried(id, counter, "")
        self._app.health.clear(f"opinion.{id}")
        self._answer(ask, Answer(
            camera=ask.camera, id=ask.id, time=ask.time, part=ask.part, said=said, boxes=boxes,
            took_ms=round(took, 2), endpoint=counter.endpoint.name,
        ))  # fmt: skip

    def _may_try(self, counter: Counter) -> bool:
        """After a pause one call alone, until it is known how it went."""
        with self._lock:
            if not counter.back.due:
                return False
            if counter.failed >= FAILURES:
                if counter.trying:
                    return False
                counter.trying = True
            return True

    def _tried(self, id: str, counter: Counter, why: str | None) -> None:
        """How a call went: "" well, None of no matter for the endpoint, else why not."""
        with self._lock:
            counter.trying = False
            if why is None:
                return
            if not why:
                counter.failed = 0
                counter.back.succeeded()
                return
            counter.failed += 1
            down = counter.failed >= FAILURES
            if down:
                counter.back.failed()
        if down:
            self._app.health.problem(f"opinion.{id}", f"{id}: {counter.endpoint.name} does not answer: {why}")

    def _picture(self, ask: Ask) -> bytes:
        """Raises EdgeloopError."""
        path = folder(self._app.root, ask.camera) / ask.file
        if not is_file_name(ask.file):
            raise EdgeloopError("a picture to be judged has no proper name", why=repr(ask.file)[:80])
        return _content(path)

    def _refuse(self, ask: Ask, refused: Refused, why: str, pause: int = 0) -> None:
        self._app.health.count(f"opinions_{refused.replace(' ', '_')}.{ask.camera}")
        self._answer(ask, Answer(
            camera=ask.camera, id=ask.id, time=ask.time, part=ask.part, refused=refused, why=why[:200], pause=pause
        ))  # fmt: skip

    def _answer(self, ask: Ask, answer: Answer) -> None:
        self._publish(topics.opinion(ask.camera, ask.id), answer)


def _content(path: Path) -> bytes:
    try:
        return decode.content(path, most=LARGEST)
    except (DecodeError, OSError) as error:
        why = getattr(error, "why", "") or getattr(error, "strerror", "") or str(error)
        raise EdgeloopError("a picture to be judged cannot be read", where=str(path), why=why) from None
