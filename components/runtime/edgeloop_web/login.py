"""Logging in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from edgeloop.errors import EdgeloopError
from edgeloop_web.access import COOKIE, session_cookie
from edgeloop_web.assets import Assets
from edgeloop_web.problem import Problem
from edgeloop_web.sessions import LIFE, Sessions
from edgeloop_web.users import Users

if TYPE_CHECKING:
    from edgeloop_web.oidc import Provider

BACK: Final = "/login/back"
BEGUN: Final = "edgeloop_login"
PLACE: Final = "<!-- provider -->"
LINK: Final = '<p><a href="/login/provider" data-say="login.provider">Log in by the plant\'s directory</a></p>'
OPENED: Final = '<!doctype html><html lang="en"><title>Edgeloop</title><meta http-equiv="refresh" content="0; url=/">'


class Login:
    """Routes `/login` (page and form) and `/logout`, and those of a provider of logins where there is one.

    audit: told (user, what happened).
    """

    def __init__(
        self, users: Users, sessions: Sessions, assets: Assets, audit: Callable[[str, str], None], secure: bool,
        provider: Provider | None = None,
    ) -> None:  # fmt: skip
        self._users, self._sessions, self._assets = users, sessions, assets
        self._audit, self._secure, self._provider = audit, secure, provider

    def routes(self) -> list[Route]:
        return [
            Route("/login", self.page, methods=["GET"]),
            Route("/login", self.enter, methods=["POST"]),
            Route("/logout", self.leave, methods=["POST"]),
            *([Route("/login/provider", self.away, methods=["GET"]), Route(BACK, self.back, methods=["GET"])]
              if self._provider else []),
        ]  # fmt: skip

    async def page(self, request: Request) -> Response:
        if self._provider is not None:
            return HTMLResponse(self._assets.text("login.html").replace(PLACE, LINK))
        return self._assets.respond(request, "login.html" if self._users.all() else "nobody.html")

    async def away(self, request: Request) -> Response:
        """To the provider. The cookie that says who began is sent back from there, so it is Lax."""
        assert self._provider is not None
        scheme = "https" if self._secure else "http"
        page = self._provider.settings.page.rstrip("/") or f"{scheme}://{request.headers.get('host', '')}"
        address, browser = await asyncio.to_thread(self._provider.begin, page + BACK)
        answer = RedirectResponse(address, 303)
        secure = page.startswith("https")
        answer.set_cookie(BEGUN, browser, max_age=600, httponly=True, secure=secure, samesite="lax", path=BACK)
        return answer

    async def back(self, request: Request) -> Response:
        """From the provider. The page is opened by this page itself: a browser sends a Strict cookie to no other."""
        assert self._provider is not None
        asked = request.query_params
        state, code, browser = asked.get("state", ""), asked.get("code", ""), request.cookies.get(BEGUN, "")
        try:
            if not code:
                raise EdgeloopError("the provider let nobody in", why=asked.get("error", "")[:100])
            name, role = await asyncio.to_thread(self._provider.finish, state, code, browser)
        except EdgeloopError as error:
            self._audit("", f"login refused: {error}"[:400])
            return RedirectResponse("/login?refused", 303)
        self._audit(name, f"login as {role} by {self._provider.settings.issuer}")
        answer = HTMLResponse(OPENED)
        self._begin(answer, self._sessions.begin(name, role))
        answer.delete_cookie(BEGUN, path=BACK)
        return answer

    async def enter(self, request: Request) -> Response:
        fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
        name, password = fields.get("name", [""])[0].strip(), fields.get("password", [""])[0]
        address = request.client.host if request.client else ""
        if (wait := self._sessions.wait(name, address)) > 0:
            raise Problem(429, f"too many tries; again in {wait:.0f} s", {"Retry-After": f"{wait:.0f}"})
        role = await asyncio.to_thread(self._users.check, name, password)
        if role is None:
            self._sessions.failed(name, address)
            self._audit(name[:64], "login refused")
            return RedirectResponse("/login?wrong", 303)
        cookie = self._sessions.begin(name)
        self._audit(name, "login")
        answer = RedirectResponse("/", 303)
        self._begin(answer, cookie)
        return answer

    def _begin(self, answer: Response, cookie: str) -> None:
        answer.set_cookie(
            COOKIE, cookie, max_age=int(LIFE), httponly=True, secure=self._secure, samesite="strict", path="/"
        )

    async def leave(self, request: Request) -> Response:
        cookie = session_cookie(request.headers)
        if cookie:
            self._sessions.end(cookie)
        visitor: Any = request.state.visitor
        if visitor is not None:
            self._audit(visitor.name, "logout")
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer
