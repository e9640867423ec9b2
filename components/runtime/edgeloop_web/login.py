"""Logging in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from edgeloop_web.access import COOKIE, session_cookie
from edgeloop_web.assets import Assets
from edgeloop_web.problem import Problem
from edgeloop_web.sessions import LIFE, Sessions
from edgeloop_web.users import Users


class Login:
    """Routes `/login` (page and form) and `/logout`. audit: told (user, what happened)."""

    def __init__(
        self, users: Users, sessions: Sessions, assets: Assets, audit: Callable[[str, str], None], secure: bool
    ) -> None:
        self._users, self._sessions, self._assets = users, sessions, assets
        self._audit, self._secure = audit, secure

    def routes(self) -> list[Route]:
        return [
            Route("/login", self.page, methods=["GET"]),
            Route("/login", self.enter, methods=["POST"]),
            Route("/logout", self.leave, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        return self._assets.respond(request, "login.html" if self._users.all() else "nobody.html")

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
        answer.set_cookie(
            COOKIE, cookie, max_age=int(LIFE), httponly=True, secure=self._secure, samesite="strict", path="/"
        )
        return answer

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
