"""The certificate of a page: given, or made by itself and known by its fingerprint."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edgeloop.durable import replace
from edgeloop.errors import EdgeloopError

YEARS = 10
_DAY = datetime.timedelta(days=1)


def self_signed(folder: Path, host: str) -> tuple[Path, Path]:
    """(certificate, key), made on first use in `folder`. host: an address or a name that the page is reached by."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if certificate.exists() and key.exists():
        return certificate, key
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, (socket.gethostname() or "edgeloop")[:64])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + YEARS * 365 * _DAY)
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace(key, secret, mode=0o600)
        replace(certificate, made.public_bytes(serialization.Encoding.PEM), mode=0o600)
    except OSError as error:
        raise EdgeloopError("cannot make a certificate", where=str(folder), why=error.strerror or "") from error
    return certificate, key


def fingerprint(certificate: Path) -> str:
    """SHA-256 of the certificate, as browsers show it. Raises EdgeloopError for what is no certificate."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise EdgeloopError("not a certificate", where=str(certificate), why=str(error), mend="a PEM file") from None
    return loaded.fingerprint(hashes.SHA256()).hex(":").upper()


def _names(host: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    if own := socket.gethostname():
        names.append(x509.DNSName(own))
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        names.append(x509.DNSName(host))
    else:
        if not address.is_unspecified:
            names.append(x509.IPAddress(address))
    return names


def readable(path: Path) -> None:
    """Raises EdgeloopError where this process cannot read it."""
    if not os.access(path, os.R_OK):
        raise EdgeloopError("cannot read the file", where=str(path), mend="give it to the component's user, mode 0600")
