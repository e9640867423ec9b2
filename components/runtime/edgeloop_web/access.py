"""Access control around an application: who asks, what they may, and the headers of every answer.

All of it is checked before a route is reached: a route that is forgotten is closed, not open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeloop.errors import EdgeloopError
from edgeloop_web import problem
from edgeloop_web.sessions import Sessions
from edgeloop_web.users import Role, Users, allowed

COOKIE: Final = "edgeloop_session"
LARGEST_BODY: Final = 64 << 10
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "font-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
SAFE: Final = {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. program: by a token, so that no browser sends it for somebody else."""

    name: str
    role: Role
    program: bool = False


class Access:
    """ASGI middleware. open_paths: path → None for what needs no login (the login page and what it loads).

    needed: the role that a (method, path) takes; None for a path that is not there.
    """

    def __init__(
        self,
        app: ASGIApp,
        users: Users,
        sessions: Sessions,
        is_open: Callable[[str], bool],
        needed: Callable[[str, str], Role],
    ) -> None:
        self._app, self._users, self._sessions = app, users, sessions
        self._open, self._needed = is_open, needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _with_headers(send)
        headers = Headers(scope=scope)
        try:
            visitor = self.visitor(headers)
        except EdgeloopError as error:
            await problem.response(503, str(error))(scope, receive, answer)
            return
        refused = self._refused(scope["method"], scope["path"], headers, visitor)
        if refused is not None:
            await problem.response(*refused)(scope, receive, answer)
            return
        scope.setdefault("state", {})["visitor"] = visitor
        await self._app(scope, _bounded(receive), answer)

    def visitor(self, headers: Headers) -> Visitor | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            known = self._users.check_token(token.strip())
            return Visitor(known[0], known[1], program=True) if known else None
        cookie = session_cookie(headers)
        session = self._sessions.session(cookie) if cookie else None
        if session is None:
            return None
        if session.role:
            return Visitor(session.user, session.role)
        user = self._users.all().get(session.user)
        return Visitor(session.user, user.role) if user else None

    def _refused(self, method: str, path: str, headers: Headers, visitor: Visitor | None) -> tuple[int, str] | None:
        if _length(headers) > LARGEST_BODY:
            return 413, f"at most {LARGEST_BODY} bytes"
        if method not in SAFE and not (visitor and visitor.program) and not _same_origin(headers):
            return 403, "the request comes from another page"
        if self._open(path):
            return None
        if visitor is None:
            return 401, "log in first"
        needed = self._needed(method, path)
        if not allowed(visitor.role, needed):
            return 403, f"this takes the role {needed}; {visitor.name} is {visitor.role}"
        return None


def session_cookie(headers: Mapping[str, str]) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _length(headers: Headers) -> int:
    """Of the body, as the request says; what is no number is too large."""
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else LARGEST_BODY + 1


def _same_origin(headers: Headers) -> bool:
    """A browser always sends Origin with a POST; without one, a form of another page could have."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") in ("same-origin", "none")
    return urlsplit(origin).netloc == headers.get("host", "")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            raise problem.Problem(413, f"at most {LARGEST_BODY} bytes")
        return message

    return receiving
