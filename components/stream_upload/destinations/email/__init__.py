"""An e-mail for some records at a time, handed to a mail server (RFC 5321) over TLS."""

from __future__ import annotations

import os
import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Annotated, Literal

from msgspec import Meta

from edgeloop import secret
from edgeloop.errors import EdgeloopError
from stream_upload.destinations.base import Answer, Destination, DestinationConfiguration, Record
from stream_upload.destinations.words import sentence

PATIENCE = 20.0
"""s for each word of the server."""
Address = Annotated[str, Meta(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$", max_length=254)]


class Configuration(DestinationConfiguration, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="email"):
    host: Annotated[str, Meta(title="Host", description="mail server", min_length=1)]
    to: Annotated[tuple[Address, ...], Meta(title="To", description="addresses", min_length=1)]
    sender: Annotated[Address, Meta(title="Sender", description="address it comes from")]
    port: Annotated[int, Meta(title="Port", description="of the server", ge=1, le=65535)] = 587
    tls: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(title="TLS", description="starttls (587), tls (465), none: to this machine alone"),
    ] = "starttls"
    ca: Annotated[str, Meta(title="CA", description="file of certificates that are trusted; empty: the system's")] = ""
    user: Annotated[str, Meta(title="User", description="at the server; empty: none")] = ""
    password_file: Annotated[str, Meta(title="Password file", description="a file of the device with it")] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tls == "none" and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("tls: none is for a server on this machine alone")
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")


class Email(Destination[Configuration]):
    options = Configuration
    most = 20

    def send(self, records: Sequence[Record]) -> Answer:
        c = self.configuration
        password = secret.first_line(c.password_file) if c.user else ""
        try:
            context = ssl.create_default_context(cafile=c.ca or None) if c.tls != "none" else None
            with self._connection(context) as server:
                if c.tls == "starttls":
                    server.starttls(context=context)
                if c.user:
                    server.login(c.user, password)
                server.send_message(self._message(records))
        except smtplib.SMTPResponseException as error:
            if 500 <= error.smtp_code < 600 and not isinstance(error, smtplib.SMTPAuthenticationError):
                return "refused"
            why = f"{error.smtp_code} {_text(error.smtp_error)}"
            raise EdgeloopError("the mail server does not take it now", where=c.host, why=why) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code >= 500 for code in codes):
                return "refused"
            raise EdgeloopError("the mail server does not take it now", where=c.host, why=f"{codes[0]}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise EdgeloopError("the mail server cannot be used", where=c.host, why=str(error)) from None
        return "acknowledged"

    def _connection(self, context: ssl.SSLContext | None) -> smtplib.SMTP:
        c = self.configuration
        if c.tls == "tls":
            return smtplib.SMTP_SSL(c.host, c.port, timeout=PATIENCE, context=context)
        return smtplib.SMTP(c.host, c.port, timeout=PATIENCE)

    def _message(self, records: Sequence[Record]) -> EmailMessage:
        sentences = [" ".join(sentence(record).split()) for record in records]
        message = EmailMessage()
        more = f" (and {len(records) - 1} more)" if len(records) > 1 else ""
        device = os.environ.get("AWS_IOT_THING_NAME", "edgeloop")
        message["Subject"] = f"{device}: {sentences[0][:120]}{more}"
        message["From"] = self.configuration.sender
        message["To"] = ", ".join(self.configuration.to)
        message.set_content("\n".join(sentences) + "\n")
        return message


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


DESTINATION = Email
