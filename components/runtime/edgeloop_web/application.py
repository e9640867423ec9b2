"""An application: its routes inside access control."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from edgeloop_web import problem
from edgeloop_web.access import Access
from edgeloop_web.assets import Assets
from edgeloop_web.login import BACK, Login
from edgeloop_web.sessions import Sessions
from edgeloop_web.users import Role, Users

if TYPE_CHECKING:
    from edgeloop_web.oidc import Provider


def application(
    routes: Sequence[BaseRoute],
    assets: Assets,
    users: Users,
    sessions: Sessions,
    *,
    needed: Callable[[str, str], Role],
    audit: Callable[[str, str], None],
    secure: bool,
    provider: Provider | None = None,
) -> Starlette:
    """Routes of an application, its files at `/` and below `/static/`, and the login.

    needed: the least role for (method, path). audit: told (user, action). secure: the page is served by TLS.
    provider: of logins, beside the users' own.
    """

    async def home(request: Request) -> Response:
        if request.state.visitor is None:
            return RedirectResponse("/login", 303)
        return assets.respond(request, "index.html")

    async def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in assets:
            raise problem.Problem(404, "no such file")
        return assets.respond(request, name)

    login = Login(users, sessions, assets, audit, secure, provider)
    return Starlette(
        routes=[
            Route("/", home), Route("/static/{name:path}", static), *login.routes(), *routes
        ],
        middleware=[Middleware(Access, users=users, sessions=sessions, is_open=_open, needed=needed)],
        exception_handlers=problem.HANDLERS,
    )  # fmt: skip


def _open(path: str) -> bool:
    """What is seen without a login holds no data: files of the page itself, and the way in."""
    return path in ("/", "/login", "/logout", "/favicon.ico", "/login/provider", BACK) or path.startswith("/static/")
