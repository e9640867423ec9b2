"""Who is logged in. A session outlives the process; its file holds digests of cookies, never a cookie."""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path
from typing import Final, Literal

import msgspec

from edgeloop.durable import Document
from edgeloop.errors import EdgeloopError
from edgeloop_web.users import Role, digest

LIFE: Final = 12 * 3600.0
"""s since the login."""
MOST: Final = 200
TRIES: Final = 5
CROWD: Final = 50
WINDOW: Final = 60.0
"""s in which at most TRIES logins of one name, and CROWD from one address, may fail: a proxy has one for everybody."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """began: s since the epoch, of the wall clock, because it outlives the process. role: what another directory than
    the users' file gave, or empty."""

    user: str
    began: float
    role: Role | Literal[""] = ""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal[1] = 1
    sessions: dict[str, Session] = {}


class Sessions:
    """Safe on any thread."""

    def __init__(self, path: Path) -> None:
        self._file = Document(path, _File, _File)
        self._lock = threading.Lock()
        self._failed: dict[tuple[str, str], list[float]] = {}
        self._sessions = dict(self._file.load().sessions)

    def begin(self, user: str, role: Role | Literal[""] = "") -> str:
        """A new session's cookie."""
        cookie = secrets.token_urlsafe(32)
        with self._lock:
            now = time.time()
            alive = {key: one for key, one in self._sessions.items() if 0 <= now - one.began < LIFE}
            newest = sorted(alive.items(), key=lambda entry: entry[1].began)[-MOST + 1 :]
            self._sessions = {**dict(newest), digest(cookie): Session(user=user, began=now, role=role)}
            self._save()
        return cookie

    def user(self, cookie: str) -> str | None:
        session = self.session(cookie)
        return session.user if session else None

    def session(self, cookie: str) -> Session | None:
        session = self._sessions.get(digest(cookie))
        return session if session and 0 <= time.time() - session.began < LIFE else None

    def end(self, cookie: str) -> None:
        with self._lock:
            if self._sessions.pop(digest(cookie), None) is not None:
                self._save()

    def failed(self, name: str, address: str) -> None:
        now = time.monotonic()
        with self._lock:
            for key in (("name", name), ("address", address)):
                self._failed[key] = [*self._recent(key, now), now]
            if len(self._failed) > 10_000:
                self._failed.clear()

    def wait(self, name: str, address: str) -> float:
        """s until the next try is allowed; 0 where it is now."""
        now = time.monotonic()
        with self._lock:
            tries = [(self._recent(("name", name), now), TRIES), (self._recent(("address", address), now), CROWD)]
        return max((WINDOW - (now - recent[-most]) for recent, most in tries if len(recent) >= most), default=0.0)

    def _recent(self, key: tuple[str, str], now: float) -> list[float]:
        return [t for t in self._failed.get(key, ()) if now - t < WINDOW]

    def _save(self) -> None:
        try:
            self._file.save(_File(sessions=self._sessions))
        except OSError as error:
            where = str(self._file.path)
            raise EdgeloopError("cannot keep the session", where=where, why=error.strerror or "") from error
