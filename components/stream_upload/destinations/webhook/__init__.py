"""An HTTP POST for each record: JSON, or a message for a channel of Microsoft Teams or Slack."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from edgeloop import documents, secret
from edgeloop.config.quantities import Duration
from edgeloop.errors import EdgeloopError
from stream_upload.destinations.base import Answer, Destination, DestinationConfiguration, Record
from stream_upload.destinations.words import sentence

LATER = {408, 425, 429}
"""Answers that say that it may be taken another time (RFC 9110, 6585), beside those from 500 on."""


class Configuration(DestinationConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="webhook"):
    url: Annotated[str, Meta(title="URL", description="https://…; http:// to this machine alone")] = ""
    url_file: Annotated[
        str, Meta(title="URL file", description="a file of the device that holds the URL, where that is a secret")
    ] = ""
    token_file: Annotated[
        str, Meta(title="Token file", description="a file of the device that holds a bearer token (RFC 6750)")
    ] = ""
    ca: Annotated[str, Meta(title="CA", description="file of certificates that are trusted; empty: the system's")] = ""
    form: Annotated[
        Literal["json", "text"],
        Meta(title="Form", description="json: the record; text: `{text: …}`, as Teams and Slack take it"),
    ] = "json"
    timeout: Annotated[
        Duration, Meta(title="Timeout", description="of a request", extra={"ge": "100 ms", "le": "1 min"})
    ] = Duration("10 s")

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.url) == bool(self.url_file):
            raise ValueError("either url or url_file")
        if self.url:
            _checked(self.url)


def _checked(url: str) -> str:
    """Raises ValueError."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("url: no user and password in it: use token_file")
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise ValueError("url: it is no https://…, or http:// to this machine")
    return url


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for the host that was named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Webhook(Destination[Configuration]):
    options = Configuration
    most = 1

    def __init__(self, id: str, configuration: Configuration) -> None:
        super().__init__(id, configuration)
        try:
            context = ssl.create_default_context(cafile=configuration.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise EdgeloopError("the certificates cannot be read", where=configuration.ca, why=str(error)) from None
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects)

    def send(self, records: Sequence[Record]) -> Answer:
        c = self.configuration
        try:
            url = c.url or _checked(secret.first_line(c.url_file, "file of a URL"))
        except ValueError as error:
            raise EdgeloopError("the webhook cannot be used", where=c.url_file, why=str(error)) from None
        headers = {"Content-Type": "application/json", "User-Agent": "edgeloop"}
        if c.token_file:
            headers["Authorization"] = f"Bearer {secret.first_line(c.token_file, 'token file')}"
        for record in records:
            body = record.content if c.form == "json" else documents.encode({"text": sentence(record)})
            request = urllib.request.Request(url, body, headers, method="POST")
            try:
                with self._opener.open(request, timeout=c.timeout.seconds) as answer:
                    answer.read(1 << 16)
            except urllib.error.HTTPError as error:
                error.close()
                if error.code in LATER or error.code >= 500:
                    raise EdgeloopError("it does not take them now", why=f"HTTP {error.code}") from None
                return "refused"
            except (OSError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", "") or error)
                raise EdgeloopError("it cannot be reached", where=urlsplit(url).hostname or "", why=why) from None
        return "acknowledged"


DESTINATION = Webhook
