"""Errors of an API as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edgeloop.errors import EdgeloopError

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is an error. status: of HTTP; detail: one sentence for people."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def response(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """
    >>> response(404, "no such alarm").body
    b'{"type":"about:blank","title":"Not Found","status":404,"detail":"no such alarm"}'
    """
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(msgspec.json.encode(body), status, headers, MEDIA_TYPE)


async def from_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response(error.status, error.detail, error.headers)


async def from_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return response(error.status_code, str(error.detail), dict(error.headers or {}))


async def from_edgeloop(request: Request, error: Exception) -> Response:
    return response(422, str(error))


async def from_validation(request: Request, error: Exception) -> Response:
    return response(422, str(error))


async def from_unexpected(request: Request, error: Exception) -> Response:
    """What went wrong is the log's, not the reader's."""
    return response(500, "the page's program failed; its log says why")


HANDLERS: dict[Any, Any] = {
    Problem: from_problem,
    HTTPException: from_http,
    EdgeloopError: from_edgeloop,
    msgspec.ValidationError: from_validation,
    Exception: from_unexpected,
}
