"""The credentials endpoint of TokenExchangeService, on the loopback interface."""

from __future__ import annotations

import asyncio
import configparser
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgeloop.errors import EdgeloopError
from edgeloop_tools.core.tokens import Tokens

PATH = "/2016-11-01/credentialprovider/"
_LIFE = timedelta(hours=1)

log = logging.getLogger("edgeloop.core")


class TokenExchange:
    """Answers a component that shows its token with the credentials of this machine (environment, or the shared file),
    else with a set that no AWS endpoint takes."""

    def __init__(self, tokens: Tokens) -> None:
        self.offline = False
        self.uri, self.port = "", 0
        self._tokens = tokens
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        try:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        except OSError as error:
            raise EdgeloopError(
                "cannot offer credentials",
                where=f"127.0.0.1:{port}",
                why=os.strerror(error.errno or 0),
                mend="choose another --token-exchange-port, or 0 for any",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self.uri = f"http://localhost:{self.port}{PATH}"

    async def close(self) -> None:
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(10):
                head = await reader.readuntil(b"\r\n\r\n")
            status, body = self._answer(head.decode("latin-1"))
            text = json.dumps(body)
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n"
                f"Connection: close\r\n\r\n{text}".encode()
            )
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("token exchange: %s", error)
        finally:
            writer.close()

    def _answer(self, head: str) -> tuple[str, Mapping[str, str]]:
        request, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        words = request.split(" ")
        if len(words) != 3 or words[0] != "GET":
            return "405 Method Not Allowed", {"message": "GET only"}
        if words[1] != PATH:
            return "400 Bad Request", {"message": "no such path"}
        if self._tokens.holder(headers.get("authorization", "")) is None:
            return "403 Forbidden", {"message": "the token is of no component"}
        if self.offline:
            return "500 Internal Server Error", {"message": "offline"}
        return "200 OK", credentials(os.environ)


def credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """In the shape of a container credentials provider."""
    found = _of_environment(environment) or _of_file(environment)
    expires = datetime.now(UTC) + _LIFE
    return {
        "AccessKeyId": found.get("aws_access_key_id", "LOCALCOREHASNOKEY"),
        "SecretAccessKey": found.get("aws_secret_access_key", "local-core-has-no-secret"),
        "Token": found.get("aws_session_token", "" if found else "local-core-has-no-session"),
        "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    if not environment.get("AWS_ACCESS_KEY_ID") or not environment.get("AWS_SECRET_ACCESS_KEY"):
        return {}
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {name.lower(): environment[name] for name in names if environment.get(name)}


def _of_file(environment: Mapping[str, str]) -> dict[str, str]:
    path = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials")
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        log.warning("cannot read credentials (%s): %s", path, type(error).__name__)
        return {}
    profile = environment.get("AWS_PROFILE", "default")
    section = dict(parser.items(profile)) if parser.has_section(profile) else {}
    return section if {"aws_access_key_id", "aws_secret_access_key"} <= section.keys() else {}
