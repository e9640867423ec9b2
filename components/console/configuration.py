"""The configuration of Console."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgeloop.config.quantities import Size


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    certificate: Annotated[str, Meta(title="Certificate", description="a PEM file on the device", min_length=1)]
    key: Annotated[str, Meta(title="Key", description="its private key, a PEM file of mode 0600", min_length=1)]


class Oidc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issuer: Annotated[str, Meta(title="Issuer", description="the provider's URL, https", min_length=1)]
    client: Annotated[str, Meta(title="Client", description="the page's client id there", min_length=1)]
    secret_file: Annotated[str, Meta(title="Secret", description="a file with the client's secret; none: by PKCE")] = ""
    claim: Annotated[str, Meta(title="Claim", description="of the ID token, that names groups")] = "groups"
    viewers: Annotated[str, Meta(title="Viewers", description="groups, separated by commas; *: whoever logs in")] = ""
    operators: Annotated[str, Meta(title="Operators", description="groups, separated by commas")] = ""
    engineers: Annotated[str, Meta(title="Engineers", description="groups, separated by commas")] = ""
    page: Annotated[str, Meta(title="Page", description="the page's address for browsers, behind a proxy")] = ""


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    site: Annotated[str, Meta(title="Site", description="name of the site, shown on the page", max_length=64)] = "plant"
    listen: Annotated[
        str,
        Meta(title="Listen", description="address and port of the page; beyond this device (loopback) only with TLS"),
    ] = "127.0.0.1:8321"
    tls: Annotated[
        Literal["self", "none"] | Certificate,
        Meta(
            title="TLS",
            description="self: a certificate made on the device, its fingerprint in the log; none: plain HTTP, for "
            "loopback; or the files of a certificate",
        ),
    ] = "none"
    oidc: Annotated[
        Literal["none"] | Oidc,
        Meta(title="OpenID Connect", description="logins by a plant's directory, beside the page's own users"),
    ] = "none"
    streams: Annotated[
        str,
        Meta(
            title="Streams",
            description="streams whose history is kept for charts, separated by blanks; empty: those of at most 100 Hz "
            "and those of monitors",
        ),
    ] = ""
    budget: Annotated[
        Size, Meta(title="Budget", description="disk space of the history; older days coarser", extra={"ge": "8 MiB"})
    ] = Size("512 MiB")
    metrics: Annotated[
        bool, Meta(title="Metrics", description="whether /metrics answers without a login on loopback, for Prometheus")
    ] = False

    def __post_init__(self) -> None:
        host, _ = address(self.listen)
        if self.tls == "none" and not loopback(host):
            raise ValueError(f"listen: {host} is beyond this device: set tls to self, or to a certificate")
        if isinstance(self.tls, Certificate):
            for path in (self.tls.certificate, self.tls.key):
                if not Path(path).is_absolute():
                    raise ValueError(f"tls: {path!r} is no absolute path")


def address(text: str) -> tuple[str, int]:
    """
    >>> address("127.0.0.1:8321"), address("[::1]:443")
    (('127.0.0.1', 8321), ('::1', 443))
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"listen: {text!r} is not <address>:<port>")
    return host, int(port)


def loopback(host: str) -> bool:
    """
    >>> loopback("127.0.0.1"), loopback("localhost"), loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
